/* Reads binary PGM and PPM files of 8 bits. */

#include "program.h"

#include <stdlib.h>
#include <string.h>

/* The next number of the header, -1 if there is none; comments are passed over. */
static long number(const byte **at, const byte *end) {
  long found = 0;
  while (*at < end && (**at == '#' || strchr(" \t\n\r\v\f", **at))) {
    if (*(*at)++ != '#') continue;
    while (*at < end && **at != '\n' && **at != '\r') ++*at;
  }
  if (*at == end || **at < '0' || **at > '9') return -1;
  for (; *at < end && **at >= '0' && **at <= '9' && found < 100000000; ++*at) found = 10 * found + **at - '0';
  return found;
}

const char *read_pnm(const byte *data, size_t size, struct picture *picture) {
  const byte *at = data + 2, *const end = data + size;
  const int channels = data[1] == '6' ? 3 : 1;
  const long width = number(&at, end), height = number(&at, end), highest = number(&at, end);
  if (width < 1 || height < 1 || width > MOST_PIXELS / height) return "its width and height make no sense";
  if (highest != 255) return "its highest value is not 255; save it with 8 bits";
  const size_t bytes = (size_t)width * height * channels;
  if (at == end || (size_t)(end - at - 1) < bytes) return "it is cut off";
  byte *const pixels = malloc(bytes);
  if (!pixels) return "it needs more memory than there is";
  memcpy(pixels, at + 1, bytes);
  *picture = (struct picture){(int)width, (int)height, channels, pixels};
  return NULL;
}
