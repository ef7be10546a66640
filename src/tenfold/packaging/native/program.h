/* What the files of the program share. */

#ifndef PROGRAM_H
#define PROGRAM_H

#include <stddef.h>
#include <stdio.h>

typedef unsigned char byte;

/* 8-bit pixels, row by row, 1 (grey) or 3 (RGB) bytes each; `pixels` is the owner's to free. */
struct picture { int width, height, channels; byte *pixels; };

#define MOST_PIXELS 178956970 /* as many as Pillow reads */

/* Each of these gives NULL, or what is wrong; then `picture` holds nothing. */
const char *read_png(const byte *data, size_t size, struct picture *picture);
const char *read_pnm(const byte *data, size_t size, struct picture *picture);

/* Unpacks a zlib stream of exactly `wanted` bytes; NULL or what is wrong. */
const char *inflate_zlib(const byte *data, size_t size, byte *out, size_t wanted);

/* What depends on the system. Names and arguments are UTF-8. */
FILE *open_file(const char *name);
FILE *binary_input(void);
double milliseconds(void);
int run_program(int count, char **arguments);

#endif
