/* x86-64: the network is there twice, for any processor and for those with AVX2 and FMA (x86-64-v3). */

#include "model.h"

#include <cpuid.h>

void model_run_any(const float *image, float *logits, void *workspace);
void model_run_avx2(const float *image, float *logits, void *workspace);

/* AVX, AVX2, FMA, BMI, LZCNT, MOVBE and F16C, and a system that keeps the wide registers. */
static int has_avx2(void) {
  const unsigned in_1 = 1u << 12 | 1u << 22 | 1u << 27 | 1u << 28 | 1u << 29, in_7 = 1u << 3 | 1u << 5 | 1u << 8;
  unsigned a, b, c, d, low, high;
  if (!__get_cpuid(1, &a, &b, &c, &d) || (c & in_1) != in_1) return 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if ((low & 6) != 6) return 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (b & in_7) != in_7) return 0;
  return __get_cpuid(0x80000001u, &a, &b, &c, &d) && c >> 5 & 1;
}

const char *model_processor(void) { return has_avx2() ? "x86-64-v3" : "x86-64"; }

void model_run(const float *image, float *logits, void *workspace) {
  static int wide = -1; /* all threads find the same */
  if (wide < 0) wide = has_avx2();
  (wide ? model_run_avx2 : model_run_any)(image, logits, workspace);
}
