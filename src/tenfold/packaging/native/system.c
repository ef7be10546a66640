/* What depends on the system. */

#include "program.h"

#include <stdlib.h>

#ifdef _WIN32

#include <fcntl.h>
#include <io.h>
#include <windows.h>

static wchar_t *widened(const char *text) {
  const int size = MultiByteToWideChar(CP_UTF8, 0, text, -1, NULL, 0);
  wchar_t *const found = malloc(size * sizeof *found);
  if (found) MultiByteToWideChar(CP_UTF8, 0, text, -1, found, size);
  return found;
}

static char *narrowed(const wchar_t *text) {
  const int size = WideCharToMultiByte(CP_UTF8, 0, text, -1, NULL, 0, NULL, NULL);
  char *const found = malloc(size);
  if (found) WideCharToMultiByte(CP_UTF8, 0, text, -1, found, size, NULL, NULL);
  return found;
}

FILE *open_file(const char *name) {
  wchar_t *const wide = widened(name);
  FILE *const file = wide ? _wfopen(wide, L"rb") : NULL;
  free(wide);
  return file;
}

FILE *binary_input(void) {
  _setmode(_fileno(stdin), _O_BINARY);
  return stdin;
}

double milliseconds(void) {
  LARGE_INTEGER now, second;
  QueryPerformanceCounter(&now);
  QueryPerformanceFrequency(&second);
  return 1000.0 * now.QuadPart / second.QuadPart;
}

int wmain(int count, wchar_t **wide) {
  char **const arguments = calloc(count + 1, sizeof *arguments);
  for (int n = 0; arguments && n < count; n++)
    if (!(arguments[n] = narrowed(wide[n]))) return 2;
  SetConsoleOutputCP(CP_UTF8);
  return arguments ? run_program(count, arguments) : 2;
}

#else

#include <time.h>

FILE *open_file(const char *name) { return fopen(name, "rb"); }

FILE *binary_input(void) { return stdin; }

double milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

int main(int count, char **arguments) { return run_program(count, arguments); }

#endif
