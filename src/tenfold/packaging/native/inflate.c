/* Unpacks zlib streams: RFC 1950 and 1951, with canonical Huffman codes read bit by bit. */

#include "program.h"

#define MOST_BITS 15
#define LENGTHS 288
#define DISTANCES 30

struct stream {
  const byte *data, *end;
  byte *out, *start, *limit;
  unsigned bits;
  int count;
  int failed; /* the data ended, or made no sense */
};

/* Of each length: how many codes there are; then the symbols in the order of their codes. */
struct codes { unsigned short counts[MOST_BITS + 1], symbols[LENGTHS]; };

static unsigned take_bits(struct stream *s, int wanted) {
  while (s->count < wanted) {
    if (s->data == s->end) {
      s->failed = 1;
      return 0;
    }
    s->bits |= (unsigned)*s->data++ << s->count;
    s->count += 8;
  }
  const unsigned found = s->bits & ((1u << wanted) - 1);
  s->bits >>= wanted;
  s->count -= wanted;
  return found;
}

/* Whether the lengths make a code that no two symbols share; one that is not full has at most one symbol. */
static int make_codes(struct codes *c, const byte *lengths, int symbols) {
  unsigned short next[MOST_BITS + 2] = {0};
  int room = 1;
  for (int n = 0; n <= MOST_BITS; n++) c->counts[n] = 0;
  for (int n = 0; n < symbols; n++) c->counts[lengths[n]]++;
  const int used = symbols - c->counts[0];
  c->counts[0] = 0;
  for (int n = 1; n <= MOST_BITS; n++) {
    room = 2 * room - c->counts[n];
    if (room < 0) return 0;
    next[n + 1] = next[n] + c->counts[n];
  }
  for (int n = 0; n < symbols; n++)
    if (lengths[n]) c->symbols[next[lengths[n]]++] = n;
  return room == 0 || used <= 1;
}

static int take_symbol(struct stream *s, const struct codes *c) {
  int code = 0, first = 0, index = 0;
  for (int n = 1; n <= MOST_BITS; n++) {
    code |= take_bits(s, 1);
    if (code - first < c->counts[n]) return c->symbols[index + code - first];
    index += c->counts[n];
    first = 2 * (first + c->counts[n]);
    code *= 2;
  }
  s->failed = 1;
  return 0;
}

static void copy_back(struct stream *s, size_t distance, int length) {
  if (distance > (size_t)(s->out - s->start) || length > s->limit - s->out) {
    s->failed = 1;
    return;
  }
  for (; length > 0; length--, s->out++) *s->out = *(s->out - distance);
}

static void take_block(struct stream *s, const struct codes *lengths, const struct codes *distances) {
  static const unsigned short length_base[] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                               31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
  static const byte length_bits[] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
  while (!s->failed) {
    const int symbol = take_symbol(s, lengths);
    if (symbol == 256 || s->failed) return;
    if (symbol < 256) {
      if (s->out == s->limit) s->failed = 1;
      else *s->out++ = symbol;
      continue;
    }
    const int which = symbol - 257;
    if (which >= 29) {
      s->failed = 1;
      return;
    }
    const int length = length_base[which] + take_bits(s, length_bits[which]);
    const int far = take_symbol(s, distances);
    if (far >= DISTANCES) {
      s->failed = 1;
      return;
    }
    const int extra = far < 4 ? 0 : far / 2 - 1;
    const size_t base = far < 4 ? far + 1 : ((size_t)(2 + far % 2) << extra) + 1;
    const size_t distance = base + take_bits(s, extra);
    if (!s->failed) copy_back(s, distance, length);
  }
}

static void fixed_block(struct stream *s) {
  struct codes lengths, distances;
  byte sizes[LENGTHS];
  for (int n = 0; n < LENGTHS; n++) sizes[n] = n < 144 ? 8 : n < 256 ? 9 : n < 280 ? 7 : 8;
  make_codes(&lengths, sizes, LENGTHS);
  for (int n = 0; n < 32; n++) sizes[n] = 5;
  make_codes(&distances, sizes, 32);
  take_block(s, &lengths, &distances);
}

static void dynamic_block(struct stream *s) {
  static const byte order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
  struct codes lengths, distances;
  byte sizes[LENGTHS + 32] = {0};
  const int literals = take_bits(s, 5) + 257, far = take_bits(s, 5) + 1, given = take_bits(s, 4) + 4;
  for (int n = 0; n < given; n++) sizes[order[n]] = take_bits(s, 3);
  if (s->failed || literals > 286 || far > DISTANCES || !make_codes(&lengths, sizes, 19)) {
    s->failed = 1;
    return;
  }
  for (int n = 0; n < LENGTHS + 32; n++) sizes[n] = 0;
  for (int n = 0; n < literals + far && !s->failed;) {
    const int symbol = take_symbol(s, &lengths);
    int times = 1;
    byte value = symbol;
    if (symbol == 16) {
      if (n == 0) s->failed = 1;
      value = n ? sizes[n - 1] : 0;
      times = 3 + take_bits(s, 2);
    } else if (symbol > 16) {
      value = 0;
      times = symbol == 17 ? 3 + take_bits(s, 3) : 11 + take_bits(s, 7);
    }
    if (n + times > literals + far) s->failed = 1;
    for (; times > 0 && !s->failed; times--) sizes[n++] = value;
  }
  if (s->failed || !make_codes(&lengths, sizes, literals) || !make_codes(&distances, sizes + literals, far)) {
    s->failed = 1;
    return;
  }
  take_block(s, &lengths, &distances);
}

static void stored_block(struct stream *s) {
  s->bits = s->count = 0; /* the rest of a byte; fewer than 8 bits are ever kept */
  if (s->end - s->data < 4) {
    s->failed = 1;
    return;
  }
  const unsigned length = s->data[0] | s->data[1] << 8, check = s->data[2] | s->data[3] << 8;
  s->data += 4;
  if ((length ^ check) != 0xffff || s->end - s->data < (ptrdiff_t)length || s->limit - s->out < (ptrdiff_t)length) {
    s->failed = 1;
    return;
  }
  for (unsigned n = 0; n < length; n++) *s->out++ = *s->data++;
}

static unsigned adler(const byte *data, size_t size) {
  unsigned a = 1, b = 0;
  for (size_t n = 0; n < size; n++) {
    a = (a + data[n]) % 65521;
    b = (b + a) % 65521;
  }
  return b << 16 | a;
}

const char *inflate_zlib(const byte *data, size_t size, byte *out, size_t wanted) {
  struct stream s = {data + 2, data + size, out, out, out + wanted, 0, 0, 0};
  if (size < 6 || (data[0] & 15) != 8 || (data[0] * 256 + data[1]) % 31 || data[1] & 32)
    return "its compressed data has no zlib header";
  for (int last = 0; !last && !s.failed;) {
    last = take_bits(&s, 1);
    switch (take_bits(&s, 2)) {
      case 0: stored_block(&s); break;
      case 1: fixed_block(&s); break;
      case 2: dynamic_block(&s); break;
      default: s.failed = 1;
    }
  }
  if (s.failed || s.out != s.limit) return "its compressed data is broken or cut off";
  if (s.end - s.data < 4) return "its compressed data is cut off";
  const unsigned check = (unsigned)s.data[0] << 24 | s.data[1] << 16 | s.data[2] << 8 | s.data[3];
  return check == adler(out, wanted) ? NULL : "its compressed data is damaged (wrong checksum)";
}
