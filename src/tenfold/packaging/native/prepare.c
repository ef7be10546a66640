/* From 8-bit pixels to what the network takes, by the arithmetic of the training: grey as Pillow makes it, its
 * bilinear filter (two passes of fixed-point sums, each rounded to 8 bits), then (x / 255 - mean) / std. */

#include "model.h"

#include <stdlib.h>
#include <string.h>

#define PRECISION 22 /* bits behind the point of a weight: 32, less 8 of a pixel, less 2 of headroom */

/* A pass: `to` places from `from`, `stride` bytes apart; `inner` such lines side by side, `outer` behind each other. */
struct pass { int from, to; size_t stride, outer; };

/* Weights of place `to`: gives how many there are from `*first` on. */
static int weigh(int place, double scale, int from, int *first, double *raw, int *fixed) {
  const double spread = scale > 1 ? scale : 1, centre = (place + 0.5) * scale;
  int last = (int)(centre + spread + 0.5);
  double sum = 0;
  *first = (int)(centre - spread + 0.5);
  if (centre - spread + 0.5 < 0) *first = 0;
  if (last > from) last = from;
  for (int x = *first; x < last; x++) {
    const double far = (x - centre + 0.5) * (1 / spread), share = 1 - (far < 0 ? -far : far);
    raw[x - *first] = share > 0 ? share : 0;
    sum += raw[x - *first];
  }
  for (int n = 0; n < last - *first; n++)
    fixed[n] = (int)((sum ? raw[n] / sum : raw[n]) * (1 << PRECISION) + 0.5);
  return last - *first;
}

/* One pass; gives new pixels and frees the old ones, or NULL where memory ends. */
static unsigned char *change(unsigned char *pixels, struct pass p) {
  const double scale = (double)p.from / p.to;
  const size_t most = (size_t)(2 * (scale > 1 ? scale : 1)) + 4;
  unsigned char *const out = malloc(p.stride * p.to * p.outer);
  double *const raw = malloc(most * sizeof *raw);
  int *const fixed = malloc(most * sizeof *fixed);
  for (int place = 0; place < p.to && out && raw && fixed; place++) {
    int first;
    const int count = weigh(place, scale, p.from, &first, raw, fixed);
    for (size_t o = 0; o < p.outer; o++) {
      const unsigned char *const from = pixels + (o * p.from + first) * p.stride;
      for (size_t n = 0; n < p.stride; n++) {
        int sum = 1 << (PRECISION - 1);
        for (int i = 0; i < count; i++) sum += from[i * p.stride + n] * fixed[i];
        sum >>= PRECISION;
        out[(o * p.to + place) * p.stride + n] = sum > 255 ? 255 : sum;
      }
    }
  }
  const int failed = !out || !raw || !fixed;
  free(raw);
  free(fixed);
  free(pixels);
  if (failed) free(out);
  return failed ? NULL : out;
}

/* The rounding between the passes makes their order matter; this is the one of Pillow 13. */
static unsigned char *resize(unsigned char *pixels, int width, int height, int channels) {
  const int height_first = MODEL_HEIGHT < height && height - MODEL_HEIGHT > 2 * (width - MODEL_WIDTH);
  for (int n = 0; n < 2 && pixels; n++) {
    const int vertical = height_first ? n == 0 : n == 1;
    if (vertical && height != MODEL_HEIGHT) {
      pixels = change(pixels, (struct pass){height, MODEL_HEIGHT, (size_t)width * channels, 1});
      height = MODEL_HEIGHT;
    } else if (!vertical && width != MODEL_WIDTH) {
      pixels = change(pixels, (struct pass){width, MODEL_WIDTH, (size_t)channels, (size_t)height});
      width = MODEL_WIDTH;
    }
  }
  return pixels;
}

/* A copy with one channel if the network wants grey, else with as many as there are. */
static unsigned char *coloured(const unsigned char *pixels, size_t count, int channels) {
  const int grey = MODEL_CHANNELS == 1 && channels == 3;
  unsigned char *const out = malloc(count * (grey ? 1 : channels));
  if (!out) return NULL;
  if (!grey) return memcpy(out, pixels, count * channels);
  for (size_t n = 0; n < count; n++, pixels += 3)
    out[n] = (pixels[0] * 19595 + pixels[1] * 38470 + pixels[2] * 7471 + 0x8000) >> 16;
  return out;
}

int model_prepare(const unsigned char *pixels, int width, int height, int channels, float *image) {
  if (width < 1 || height < 1 || (channels != 1 && channels != 3)) return -1;
  const int given = MODEL_CHANNELS == 1 ? 1 : channels;
  unsigned char *ready = coloured(pixels, (size_t)width * height, channels);
  if (ready) ready = resize(ready, width, height, given);
  if (!ready) return -1;
  for (int c = 0; c < MODEL_CHANNELS; c++)
    for (size_t n = 0; n < MODEL_HEIGHT * MODEL_WIDTH; n++)
      *image++ = (ready[n * given + (given == 1 ? 0 : c)] / 255.0f - model_mean[c]) / model_std[c];
  free(ready);
  return 0;
}
