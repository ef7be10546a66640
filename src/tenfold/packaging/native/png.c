/* Reads PNG files that are not interlaced, to 8 bits a channel: of 16 bits the upper 8, without transparency. */

#include "program.h"

#include <stdlib.h>
#include <string.h>

enum { GREY = 0, RGB = 2, PALETTE = 3, GREY_ALPHA = 4, RGB_ALPHA = 6 };

struct header { unsigned width, height; int bits, colour, samples; };

static unsigned big_endian(const byte *at) { return (unsigned)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3]; }

static unsigned crc(const byte *data, size_t size) {
  unsigned found = 0xffffffffu;
  for (size_t n = 0; n < size; n++) {
    found ^= data[n];
    for (int bit = 0; bit < 8; bit++) found = found >> 1 ^ (found & 1 ? 0xedb88320u : 0);
  }
  return ~found;
}

static const char *read_header(const byte *at, unsigned size, struct header *h) {
  static const byte samples[] = {1, 0, 3, 1, 2, 0, 4};
  if (size != 13) return "its header has the wrong size";
  h->width = big_endian(at);
  h->height = big_endian(at + 4);
  h->bits = at[8];
  h->colour = at[9];
  if (!h->width || !h->height || h->width > 0x7fffffff / h->height || h->width * h->height > MOST_PIXELS)
    return "it has no pixels, or more than 178,956,970";
  if (h->colour > 6 || !samples[h->colour]) return "its kind of colour is not one of PNG's";
  h->samples = samples[h->colour];
  const int small = h->bits == 1 || h->bits == 2 || h->bits == 4;
  const int fits = h->bits == 8 || (h->bits == 16 && h->colour != PALETTE) || (small && h->samples == 1);
  if (!fits) return "its number of bits does not fit its kind of colour";
  if (at[10] || at[11]) return "its compression is not one of PNG's";
  if (at[12]) return "it is interlaced; save it without interlacing";
  return NULL;
}

static byte paeth(int left, int up, int corner) {
  const int estimate = left + up - corner;
  const int a = abs(estimate - left), b = abs(estimate - up), c = abs(estimate - corner);
  return a <= b && a <= c ? left : b <= c ? up : corner;
}

/* Undoes the prediction of rows, each of which begins with the number of its filter. */
static const char *unfilter(byte *rows, unsigned height, size_t stride, size_t pixel) {
  for (unsigned y = 0; y < height; y++) {
    byte *const row = rows + y * (stride + 1) + 1;
    const byte *const above = y ? row - stride - 1 : NULL;
    if (row[-1] > 4) return "a row of pixels is damaged";
    for (size_t x = 0; x < stride; x++) {
      const int left = x < pixel ? 0 : row[x - pixel], up = above ? above[x] : 0;
      const int corner = x < pixel || !above ? 0 : above[x - pixel];
      switch (row[-1]) {
        case 1: row[x] += left; break;
        case 2: row[x] += up; break;
        case 3: row[x] += (left + up) / 2; break;
        case 4: row[x] += paeth(left, up, corner); break;
      }
    }
  }
  return NULL;
}

/* Sample n of a row, in 8 bits; a place of the palette as it is. */
static byte sample(const struct header *h, const byte *row, size_t n) {
  if (h->bits == 16) return row[2 * n];
  if (h->bits == 8) return row[n];
  const size_t bit = n * h->bits;
  const int most = (1 << h->bits) - 1, value = row[bit / 8] >> (8 - h->bits - bit % 8) & most;
  return h->colour == PALETTE ? value : value * 255 / most;
}

static void to_pixels(const struct header *h, const byte *rows, size_t stride, const byte *palette, struct picture *p) {
  byte *out = p->pixels;
  for (unsigned y = 0; y < h->height; y++) {
    const byte *const row = rows + y * (stride + 1) + 1;
    for (unsigned x = 0; x < h->width; x++)
      for (int c = 0; c < p->channels; c++) {
        const byte found = sample(h, row, (size_t)x * h->samples + (h->colour == PALETTE ? 0 : c));
        *out++ = h->colour == PALETTE ? palette[3 * found + c] : found;
      }
  }
}

static const char *decode(const struct header *h, const byte *packed, size_t size, const byte *palette,
                          struct picture *picture) {
  const size_t stride = ((size_t)h->width * h->samples * h->bits + 7) / 8, whole = (stride + 1) * h->height;
  const size_t pixel = h->samples * h->bits < 8 ? 1 : h->samples * h->bits / 8;
  const int channels = h->colour == GREY || h->colour == GREY_ALPHA ? 1 : 3;
  byte *const rows = malloc(whole), *const pixels = malloc((size_t)h->width * h->height * channels);
  const char *wrong = rows && pixels ? inflate_zlib(packed, size, rows, whole) : "it needs more memory than there is";
  if (!wrong) wrong = unfilter(rows, h->height, stride, pixel);
  if (!wrong) {
    *picture = (struct picture){h->width, h->height, channels, pixels};
    to_pixels(h, rows, stride, palette, picture);
  } else {
    free(pixels);
  }
  free(rows);
  return wrong;
}

/* Goes through the chunks, and gathers the packed data in `packed`, which has room for the file. */
static const char *read_chunks(const byte *data, size_t size, struct header *h, byte *palette, byte *packed,
                               size_t *gathered) {
  int have_palette = 0;
  for (size_t at = 8; size - at >= 12;) {
    const unsigned length = big_endian(data + at);
    const byte *const name = data + at + 4, *const body = data + at + 8;
    if (length > size - at - 12) return "it is cut off";
    if (crc(name, length + 4) != big_endian(body + length)) return "it is damaged (wrong checksum)";
    if (!memcmp(name, "IHDR", 4)) {
      const char *wrong = h->width ? "it has two headers" : read_header(body, length, h);
      if (wrong) return wrong;
    } else if (!h->width) {
      return "it has no header";
    } else if (!memcmp(name, "PLTE", 4)) {
      if (length > 768) return "its palette is too large";
      memcpy(palette, body, length);
      have_palette = 1;
    } else if (!memcmp(name, "IDAT", 4)) {
      memcpy(packed + *gathered, body, length);
      *gathered += length;
    } else if (!memcmp(name, "IEND", 4)) {
      return h->colour == PALETTE && !have_palette ? "it has no palette" : NULL;
    }
    at += (size_t)length + 12;
  }
  return "it is cut off";
}

const char *read_png(const byte *data, size_t size, struct picture *picture) {
  struct header header = {0};
  byte palette[768] = {0};
  size_t gathered = 0;
  byte *const packed = malloc(size);
  if (!packed) return "it needs more memory than there is";
  const char *wrong = read_chunks(data, size, &header, palette, packed, &gathered);
  if (!wrong) wrong = decode(&header, packed, gathered, palette, picture);
  free(packed);
  return wrong;
}
