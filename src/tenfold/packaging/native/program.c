/* The command line. */

#include "program.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "card.h"
#include "model.h"

enum { DONE, SOME_FAILED, REFUSED };

#define PIXELS (MODEL_CHANNELS * MODEL_HEIGHT * MODEL_WIDTH)
#define TOP 5

static float image[PIXELS], logits[MODEL_CLASSES];
static double chances[MODEL_CLASSES];
static char workspace[MODEL_WORKSPACE_BYTES] __attribute__((aligned(64)));

struct wishes { int top, json, logits, card, bench, help; };

static const char help[] =
    "usage: %s [--top K] [--json] [--logits] IMAGE...\n"
    "       %s --bench N [--json]\n"
    "       %s --card [--json]\n\n"
    "Classify images with the network inside this program.\n\n"
    "  IMAGE      PNG, binary PPM or PGM; or %d float32 numbers, which are what the network\n"
    "             takes: channel by channel, (x / 255 - mean) / std; - reads the input\n"
    "  --top K    classes to name; else 5\n"
    "  --logits   the numbers of all classes in their order, before they become probabilities\n"
    "  --bench N  time N runs on this machine\n"
    "  --card     say what the network is\n"
    "  --json     print JSON\n";

static void print_json_text(const char *text) {
  putchar('"');
  for (const byte *at = (const byte *)text; *at; at++) {
    if (*at == '"' || *at == '\\') printf("\\%c", *at);
    else if (*at < 32) printf("\\u%04x", *at);
    else putchar(*at);
  }
  putchar('"');
}

/* All bytes of a file, NULL if it cannot be read, with the reason in errno. */
static byte *read_all(FILE *file, size_t *size) {
  size_t room = 1 << 16;
  byte *data = malloc(room);
  for (*size = 0; data;) {
    *size += fread(data + *size, 1, room - *size, file);
    if (*size < room) break;
    byte *const larger = realloc(data, room *= 2);
    if (!larger) free(data);
    data = larger;
  }
  if (data && ferror(file)) {
    free(data);
    data = NULL;
  }
  return data;
}

static const char *interpret(const byte *data, size_t size) {
  static const byte png[8] = {137, 'P', 'N', 'G', 13, 10, 26, 10};
  struct picture picture = {0};
  const char *wrong;
  if (size >= 8 && !memcmp(data, png, 8)) wrong = read_png(data, size, &picture);
  else if (size >= 3 && data[0] == 'P' && (data[1] == '5' || data[1] == '6')) wrong = read_pnm(data, size, &picture);
  else if (size == sizeof image) return memcpy(image, data, size), NULL;
  else return "it is neither PNG, binary PPM or PGM, nor as many float32 numbers as the network takes; convert it to PNG";
  if (!wrong && model_prepare(picture.pixels, picture.width, picture.height, picture.channels, image))
    wrong = "it needs more memory than there is";
  free(picture.pixels);
  return wrong;
}

static const char *load(const char *name) {
  FILE *const file = strcmp(name, "-") ? open_file(name) : binary_input();
  if (!file) return strerror(errno);
  size_t size;
  errno = 0;
  byte *const data = read_all(file, &size);
  if (file != stdin) fclose(file);
  if (!data) return errno ? strerror(errno) : "it cannot be read";
  const char *const wrong = interpret(data, size);
  free(data);
  return wrong;
}

static double run(void) {
  const double start = milliseconds();
  model_run(image, logits, workspace);
  return milliseconds() - start;
}

static void find_chances(void) {
  double highest = logits[0], sum = 0;
  for (int n = 1; n < MODEL_CLASSES; n++) highest = logits[n] > highest ? logits[n] : highest;
  for (int n = 0; n < MODEL_CLASSES; n++) sum += chances[n] = exp(logits[n] - highest);
  for (int n = 0; n < MODEL_CLASSES; n++) chances[n] /= sum;
}

/* The likeliest class of which nothing was said yet; of equal ones the first. */
static int next_class(byte *said) {
  int best = -1;
  for (int n = 0; n < MODEL_CLASSES; n++)
    if (!said[n] && (best < 0 || logits[n] > logits[best])) best = n;
  said[best] = 1;
  return best;
}

static void print_logits(int json) {
  for (int n = 0; n < MODEL_CLASSES; n++) printf("%s%.9g", n ? json ? ", " : " " : "", logits[n]);
}

static void print_answer(const char *name, double latency, const struct wishes *w) {
  byte said[MODEL_CLASSES] = {0};
  printf("%s  (%.3f ms)\n", name, latency);
  if (w->logits) {
    print_logits(0);
    putchar('\n');
    return;
  }
  for (int n = 0; n < w->top && n < MODEL_CLASSES; n++) {
    const int best = next_class(said);
    printf("  %6.2f %%  %s\n", 100 * chances[best], model_classes[best]);
  }
}

static void print_answer_json(const char *name, double latency, const struct wishes *w) {
  byte said[MODEL_CLASSES] = {0};
  fputs(" {\n  \"file\": ", stdout);
  print_json_text(name);
  fputs(",\n  \"classes\": [", stdout);
  for (int n = 0; n < w->top && n < MODEL_CLASSES; n++) {
    const int best = next_class(said);
    fputs(n ? ",\n   {\"class\": " : "\n   {\"class\": ", stdout);
    print_json_text(model_classes[best]);
    printf(", \"probability\": %.9g}", chances[best]);
  }
  fputs("\n  ]", stdout);
  if (w->logits) {
    fputs(",\n  \"logits\": [", stdout);
    print_logits(1);
    putchar(']');
  }
  printf(",\n  \"milliseconds\": %.6g\n }", latency);
}

static int classify(char **names, int count, const struct wishes *w) {
  int answered = 0;
  if (w->json) putchar('[');
  for (int n = 0; n < count; n++) {
    const char *const wrong = load(names[n]);
    if (wrong) {
      fprintf(stderr, "error: %s: cannot be read as an image: %s\n", names[n], wrong);
      continue;
    }
    const double latency = run();
    find_chances();
    if (w->json) fputs(answered ? ",\n" : "\n", stdout);
    (w->json ? print_answer_json : print_answer)(names[n], latency, w);
    answered++;
  }
  if (w->json) fputs(answered ? "\n]\n" : "]\n", stdout);
  return answered == count ? DONE : answered ? SOME_FAILED : REFUSED;
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static int bench(const struct wishes *w) {
  double *const times = malloc(w->bench * sizeof *times);
  if (!times) {
    fprintf(stderr, "error: --bench %d: no memory for so many times; give fewer\n", w->bench);
    return REFUSED;
  }
  for (int n = 0; n < PIXELS; n++) image[n] = (float)sin(n);
  run(); /* what the first run sets up is not an image's time */
  for (int n = 0; n < w->bench; n++) times[n] = run();
  qsort(times, w->bench, sizeof *times, ascending);
  const double median = (times[(w->bench - 1) / 2] + times[w->bench / 2]) / 2, slow = times[(w->bench - 1) * 95 / 100];
  free(times);
  if (w->json)
    printf("{\"runs\": %d, \"median_ms\": %.6g, \"slow_ms\": %.6g, \"processor\": \"%s\"}\n", w->bench, median, slow,
           model_processor());
  else
    printf("%d runs, 1 thread, code for %s: median %.3f ms, 95 %% within %.3f ms, %.0f images a second\n", w->bench,
           model_processor(), median, slow, 1000 / median);
  return DONE;
}

/* A whole number above 0, or 0. */
static int positive(const char *text) {
  char *end;
  const long found = text ? strtol(text, &end, 10) : 0;
  return found < 1 || found > 100000000 || *end ? 0 : (int)found;
}

static int refuse(const char *what, const char *why) {
  fprintf(stderr, "error: %s: %s\n", what, why);
  return REFUSED;
}

/* Options to `w`, names of images to the front of `arguments`; REFUSED if something makes no sense. */
static int understand(char **arguments, int *names, struct wishes *w) {
  int only_names = 0;
  for (char **at = arguments; *at; at++) {
    if (only_names || **at != '-' || !strcmp(*at, "-")) arguments[(*names)++] = *at;
    else if (!strcmp(*at, "--")) only_names = 1;
    else if (!strcmp(*at, "--image")) continue; /* as the desktop package has it */
    else if (!strcmp(*at, "--json")) w->json = 1;
    else if (!strcmp(*at, "--logits")) w->logits = 1;
    else if (!strcmp(*at, "--card")) w->card = 1;
    else if (!strcmp(*at, "--help") || !strcmp(*at, "-h")) w->help = 1;
    else if (!strcmp(*at, "--top") || !strcmp(*at, "--bench")) {
      int *const wish = strcmp(*at, "--top") ? &w->bench : &w->top;
      if (!(*wish = positive(at[1]))) return refuse(*at, "give a whole number from 1 to 100,000,000 behind it");
      at++;
    } else return refuse(*at, "is no option; see --help");
  }
  return DONE;
}

int run_program(int count, char **arguments) {
  struct wishes w = {.top = TOP};
  int names = 0, result;
  if (count < 1) return REFUSED;
  if ((result = understand(arguments + 1, &names, &w)) != DONE) return result;
  if (w.help) printf(help, arguments[0], arguments[0], arguments[0], PIXELS);
  else if (w.card) fputs(w.json ? card_json : card_text, stdout);
  else if (w.bench) result = bench(&w);
  else if (names) result = classify(arguments + 1, names, &w);
  else result = refuse("IMAGE", "give an image file; see --help");
  if (fflush(stdout) || ferror(stdout)) return refuse("output", "cannot be written");
  return result;
}
