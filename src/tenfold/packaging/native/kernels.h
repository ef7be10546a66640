/* The loops of a network. Every argument but the pointers is a constant at the call, so that each call becomes
 * a loop of its own. Images lie pixel by pixel, with the channels of a pixel side by side; LANES of them make
 * one vector. Sums of products are contracted to fused multiply-adds where the processor has them. */

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#define LANES 8
#define INLINE static inline __attribute__((always_inline, unused))
#define UNROLL _Pragma("clang loop unroll(full)")
#define MOST_ACCUMULATORS 12

typedef float vec __attribute__((vector_size(4 * LANES), aligned(4)));
typedef int mask __attribute__((vector_size(4 * LANES), aligned(4)));

INLINE vec load(const float *from) { return *(const vec *)from; }
INLINE void store(float *to, vec value) { *(vec *)to = value; }
INLINE vec splat(float x) { return (vec){x, x, x, x, x, x, x, x}; }
INLINE vec choose(mask where, vec a, vec b) { return (vec)((where & (mask)a) | (~where & (mask)b)); }
INLINE vec larger(vec a, vec b) { return choose(a > b, a, b); }
INLINE vec smaller(vec a, vec b) { return choose(a < b, a, b); }

/* What follows a layer; the numbers are those of the ONNX operator. */
enum function {
  NONE, RELU, CLIP, LEAKY_RELU, ELU, SIGMOID, HARD_SIGMOID, HARD_SWISH, TANH, ERF, EXP, LOG, SQRT, ABS, NEG, SOFTPLUS
};
struct activation { enum function function; float a, b; };

INLINE float scalar_function(enum function f, float a, float x) {
  switch (f) {
    case ELU: return x > 0 ? x : a * expm1f(x);
    case SIGMOID: return 1 / (1 + expf(-x));
    case TANH: return tanhf(x);
    case ERF: return erff(x);
    case EXP: return expf(x);
    case LOG: return logf(x);
    case SQRT: return sqrtf(x);
    case SOFTPLUS: return x > 20 ? x : log1pf(expf(x));
    default: return x;
  }
}

INLINE vec activate(struct activation act, vec x) {
  const vec zero = splat(0), one = splat(1);
  vec share;
  switch (act.function) {
    case NONE: return x;
    case RELU: return larger(x, zero);
    case CLIP: return smaller(larger(x, splat(act.a)), splat(act.b));
    case LEAKY_RELU: return choose(x > zero, x, x * act.a);
    case ABS: return larger(x, -x);
    case NEG: return -x;
    case HARD_SIGMOID:
    case HARD_SWISH:
      share = smaller(larger(x * act.a + act.b, zero), one);
      return act.function == HARD_SWISH ? x * share : share;
    default:
      for (int n = 0; n < LANES; n++) x[n] = scalar_function(act.function, act.a, x[n]);
      return x;
  }
}

/* Where an image lies: floats from one row and one pixel to the next. */
struct grid { ptrdiff_t row, pixel; };

/* A window of kh x kw that moves over the image by (sy, sx); its points lie (dy, dx) apart. */
struct window { int kh, kw, sy, sx, dy, dx; };

/* ---- convolution, all input channels to all output channels ---- */

/* The input channels of a point: `runs` stretches of `length` floats, `stride` apart. */
struct channels { int runs, length, stride; };

struct dense {
  int rows, cols; /* of the output */
  struct window window;
  struct channels channels;
  struct grid in, out, residual; /* residual.pixel is 0 where there is none */
  struct activation act;
};

/* ty x tx pixels of the output, nv vectors of channels each. */
INLINE void dense_tile(const struct dense d, const int ty, const int tx, const int nv, const float *in,
                       const float *w, const float *bias, const float *residual, float *out) {
  vec acc[MOST_ACCUMULATORS];
  const struct window k = d.window;
  UNROLL for (int p = 0; p < ty * tx; p++)
    UNROLL for (int v = 0; v < nv; v++) acc[p * nv + v] = load(bias + v * LANES);
  for (int ky = 0; ky < k.kh; ky++)
    for (int kx = 0; kx < k.kw; kx++)
      for (int run = 0; run < d.channels.runs; run++) {
        const float *from = in + ky * k.dy * d.in.row + kx * k.dx * d.in.pixel + run * d.channels.stride;
        for (int i = 0; i < d.channels.length; i++, w += nv * LANES) {
          UNROLL for (int p = 0; p < ty * tx; p++) {
            const vec x = splat(from[(p / tx) * k.sy * d.in.row + (p % tx) * k.sx * d.in.pixel + i]);
            UNROLL for (int v = 0; v < nv; v++) acc[p * nv + v] += x * load(w + v * LANES);
          }
        }
      }
  UNROLL for (int p = 0; p < ty * tx; p++)
    UNROLL for (int v = 0; v < nv; v++) {
      vec sum = acc[p * nv + v];
      if (d.residual.pixel)
        sum += load(residual + (p / tx) * d.residual.row + (p % tx) * d.residual.pixel + v * LANES);
      store(out + (p / tx) * d.out.row + (p % tx) * d.out.pixel + v * LANES, activate(d.act, sum));
    }
}

/* Rows y to y + ty of the output. */
INLINE void dense_rows(const struct dense d, const int y, const int ty, const int tx, const int nv,
                       const float *in, const float *w, const float *bias, const float *residual, float *out) {
  const int rest = d.cols % tx, full = d.cols - rest;
  in += y * d.window.sy * d.in.row;
  out += y * d.out.row;
  residual += y * d.residual.row;
  for (int x = 0; x < full; x += tx)
    dense_tile(d, ty, tx, nv, in + x * d.window.sx * d.in.pixel, w, bias, residual + x * d.residual.pixel,
               out + x * d.out.pixel);
  if (rest)
    dense_tile(d, ty, rest, nv, in + full * d.window.sx * d.in.pixel, w, bias,
               residual + full * d.residual.pixel, out + full * d.out.pixel);
}

/* `chunks` times nv vectors of output channels. The weights lie chunk, point, input channel, output channel. */
INLINE void dense(const struct dense d, const int chunks, const int ty, const int tx, const int nv,
                  const float *in, const float *w, const float *bias, const float *residual, float *out) {
  const ptrdiff_t step = nv * LANES;
  const ptrdiff_t weights = step * d.window.kh * d.window.kw * d.channels.runs * d.channels.length;
  const int rest = d.rows % ty, full = d.rows - rest;
  for (int c = 0; c < chunks; c++, w += weights, bias += step, residual += step, out += step) {
    for (int y = 0; y < full; y += ty) dense_rows(d, y, ty, tx, nv, in, w, bias, residual, out);
    if (rest) dense_rows(d, full, rest, tx, nv, in, w, bias, residual, out);
  }
}

/* ---- convolution in groups, LANES groups side by side ---- */

struct lanes {
  int rows, cols;
  struct window window;
  int inputs, outputs;            /* channels of a group */
  int vectors;                    /* of groups */
  struct grid in, out;            /* within one plane: channel i of all groups */
  ptrdiff_t in_plane, out_plane;  /* floats from one channel of the groups to the next */
  struct activation act;
};

/* tx pixels, `no` output channels of LANES groups. */
INLINE void lanes_tile(const struct lanes g, const int tx, const int no, const float *in, const float *w,
                       const float *bias, float *out) {
  vec acc[MOST_ACCUMULATORS];
  const struct window k = g.window;
  const ptrdiff_t groups = g.vectors * LANES;
  UNROLL for (int p = 0; p < tx; p++)
    UNROLL for (int o = 0; o < no; o++) acc[p * no + o] = load(bias + o * groups);
  for (int i = 0; i < g.inputs; i++)
    UNROLL for (int ky = 0; ky < k.kh; ky++)
      UNROLL for (int kx = 0; kx < k.kw; kx++)
        UNROLL for (int p = 0; p < tx; p++) {
          const vec x = load(in + i * g.in_plane + ky * k.dy * g.in.row + (kx * k.dx + p * k.sx) * g.in.pixel);
          UNROLL for (int o = 0; o < no; o++)
            acc[p * no + o] += x * load(w + (((i * k.kh + ky) * k.kw + kx) * no + o) * LANES);
        }
  UNROLL for (int p = 0; p < tx; p++)
    UNROLL for (int o = 0; o < no; o++)
      store(out + p * g.out.pixel + o * g.out_plane, activate(g.act, acc[p * no + o]));
}

/* `blocks` times `no` output channels of every group. The weights lie vector, block, input, point, output. */
INLINE void lanes(const struct lanes g, const int blocks, const int tx, const int no, const float *in,
                  const float *w, const float *bias, float *out) {
  const int rest = g.cols % tx, full = g.cols - rest;
  const ptrdiff_t weights = (ptrdiff_t)g.inputs * g.window.kh * g.window.kw * no * LANES;
  for (int y = 0; y < g.rows; y++)
    for (int v = 0; v < g.vectors; v++)
      for (int b = 0; b < blocks; b++) {
        const float *from = in + y * g.window.sy * g.in.row + v * LANES;
        const float *ours = w + (v * g.outputs / no + b) * weights;
        const float *start = bias + (b * no * g.vectors + v) * LANES;
        float *to = out + y * g.out.row + v * LANES + b * no * g.out_plane;
        for (int x = 0; x < full; x += tx)
          lanes_tile(g, tx, no, from + x * g.window.sx * g.in.pixel, ours, start, to + x * g.out.pixel);
        if (rest)
          lanes_tile(g, rest, no, from + full * g.window.sx * g.in.pixel, ours, start, to + full * g.out.pixel);
      }
}
