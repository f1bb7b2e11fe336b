// qsort with a callback through a pointer.
#include <stdio.h>
#include <stdlib.h>
static int cmp(const void *a, const void *b) {
  unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
  return x < y ? -1 : x > y;
}
int main(void) {
  enum { N = 700000 };
  unsigned *v = malloc(N * sizeof *v), s = 1, sum = 0;
  for (int r = 0; r < 2; r++) {
    for (int i = 0; i < N; i++) v[i] = (s = s * 1664525 + 1013904223);
    qsort(v, N, sizeof *v, cmp);
    sum += v[N / 2];
  }
  printf("%u\n", sum);
}
