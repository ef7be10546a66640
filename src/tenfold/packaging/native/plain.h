/* The loops that take little time beside the convolutions. */

struct image { int channels, rows, cols, planes, length, stride, interleaved; struct grid at; };

/* Where channel c lies within a pixel. */
INLINE ptrdiff_t place(const struct image m, int c) {
  const int plane = m.interleaved ? c % m.planes : c / m.length;
  return (ptrdiff_t)plane * m.stride + (m.interleaved ? c / m.planes : c % m.length);
}

INLINE ptrdiff_t point(const struct image m, int y, int x) { return y * m.at.row + x * m.at.pixel; }

/* Channel by channel, as ONNX has it, to pixel by pixel, and back. */
INLINE void from_planes(const struct image m, const float *in, float *out) {
  for (int y = 0; y < m.rows; y++)
    for (int x = 0; x < m.cols; x++)
      for (int c = 0; c < m.channels; c++)
        out[point(m, y, x) + place(m, c)] = in[((ptrdiff_t)c * m.rows + y) * m.cols + x];
}

INLINE void to_planes(const struct image m, const float *in, float *out) {
  for (int c = 0; c < m.channels; c++)
    for (int y = 0; y < m.rows; y++)
      for (int x = 0; x < m.cols; x++)
        out[((ptrdiff_t)c * m.rows + y) * m.cols + x] = in[point(m, y, x) + place(m, c)];
}

INLINE void rearrange(const struct image from, const struct image to, const float *in, float *out) {
  for (int y = 0; y < to.rows; y++)
    for (int x = 0; x < to.cols; x++)
      for (int c = 0; c < to.channels; c++)
        out[point(to, y, x) + place(to, c)] = in[point(from, y, x) + place(from, c)];
}

INLINE void affine(const struct image from, const struct image to, const struct activation act, const float *in,
                   const float *scale, const float *shift, float *out) {
  for (int y = 0; y < to.rows; y++)
    for (int x = 0; x < to.cols; x++)
      for (int c = 0; c < to.stride; c += LANES)
        store(out + point(to, y, x) + c,
              activate(act, load(in + point(from, y, x) + c) * load(scale + c) + load(shift + c)));
}

INLINE void each(const struct image from, const struct image to, const struct activation act, const float *in,
                 float *out) {
  for (int y = 0; y < to.rows; y++)
    for (int x = 0; x < to.cols; x++)
      for (int c = 0; c < to.stride; c += LANES)
        store(out + point(to, y, x) + c, activate(act, load(in + point(from, y, x) + c)));
}

enum operation { ADD, SUB, MUL, DIV };

/* A value with one pixel is repeated. */
INLINE void combine(const struct image first, const struct image second, const struct image to,
                    const enum operation operation, const struct activation act, const float *a, const float *b,
                    float *out) {
  const int first_moves = first.rows * first.cols > 1, second_moves = second.rows * second.cols > 1;
  for (int y = 0; y < to.rows; y++)
    for (int x = 0; x < to.cols; x++)
      for (int c = 0; c < to.stride; c += LANES) {
        const vec u = load(a + (first_moves ? point(first, y, x) : 0) + c);
        const vec v = load(b + (second_moves ? point(second, y, x) : 0) + c);
        const vec r = operation == ADD ? u + v : operation == SUB ? u - v : operation == MUL ? u * v : u / v;
        store(out + point(to, y, x) + c, activate(act, r));
      }
}

INLINE int highest(int a, int b) { return a > b ? a : b; }
INLINE int lowest(int a, int b) { return a < b ? a : b; }

/* The largest or the mean of the points that lie in the image; `counted` points divide the mean, if not 0. */
INLINE void pool(const struct image from, const struct image to, const struct window k, const int top,
                 const int left, const int largest, const int counted, const float *in, float *out) {
  for (int y = 0; y < to.rows; y++)
    for (int x = 0; x < to.cols; x++)
      for (int c = 0; c < to.stride; c += LANES) {
        vec found = splat(largest ? -FLT_MAX : 0);
        int points = 0;
        for (int ky = 0; ky < k.kh; ky++)
          for (int kx = 0; kx < k.kw; kx++) {
            const int row = y * k.sy - top + ky * k.dy, col = x * k.sx - left + kx * k.dx;
            if (row < 0 || row >= from.rows || col < 0 || col >= from.cols) continue;
            const vec v = load(in + point(from, row, col) + c);
            found = largest ? larger(v, found) : found + v;
            points++;
          }
        store(out + point(to, y, x) + c, largest ? found : found * splat(1.0f / (counted ? counted : points)));
      }
}

struct axis { int start, step, low, high; };

INLINE void take(const struct image from, const struct image to, const struct axis channel,
                 const struct axis row, const struct axis col, const float fill, const float *in, float *out) {
  for (int y = 0; y < to.rows; y++)
    for (int x = 0; x < to.cols; x++) {
      float *const pixel = out + point(to, y, x);
      const int inside = y >= row.low && y < row.high && x >= col.low && x < col.high;
      const int low = inside ? lowest(channel.low, to.channels) : to.channels;
      const int high = inside ? lowest(channel.high, to.channels) : to.channels;
      const float *const source = in + point(from, inside ? row.start + row.step * y : 0,
                                             inside ? col.start + col.step * x : 0);
      for (int c = 0; c < low; c++) pixel[c] = fill;
      for (int c = low; c < high; c++) pixel[c] = source[channel.start + channel.step * c];
      for (int c = high; c < to.channels; c++) pixel[c] = fill;
    }
}

/* The channels of `from`, as channels `first` and on of `to`. */
INLINE void append(const struct image from, const struct image to, const int first, const float *in, float *out) {
  for (int y = 0; y < to.rows; y++)
    for (int x = 0; x < to.cols; x++)
      memcpy(out + point(to, y, x) + first, in + point(from, y, x), from.channels * sizeof(float));
}

INLINE void softmax(const struct image from, const struct image to, const float *in, float *out) {
  for (int y = 0; y < to.rows; y++)
    for (int x = 0; x < to.cols; x++) {
      const float *const pixel = in + point(from, y, x);
      float *const answer = out + point(to, y, x);
      float most = -FLT_MAX, sum = 0;
      for (int c = 0; c < to.channels; c++) most = pixel[c] > most ? pixel[c] : most;
      for (int c = 0; c < to.channels; c++) sum += answer[c] = expf(pixel[c] - most);
      for (int c = 0; c < to.channels; c++) answer[c] /= sum;
    }
}
