// Matrices of two sizes: the same function is large work and small work.
#include <stdio.h>
#include <stdlib.h>
__attribute__((noinline)) static void multiply(double *c, const double *a, const double *b, int n) {
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) {
      double s = 0;
      for (int k = 0; k < n; k++) s += a[i * n + k] * b[k * n + j];
      c[i * n + j] = s;
    }
}
int main(void) {
  enum { N = 256 };
  double *a = malloc(8 * N * N), *b = malloc(8 * N * N), *c = malloc(8 * N * N), sum = 0;
  for (int i = 0; i < N * N; i++) a[i] = i % 7, b[i] = i % 11;
  for (int r = 0; r < 8; r++) multiply(c, a, b, N), sum += c[r];
  for (int r = 0; r < 1000000; r++) multiply(c, a + r % 100, b, 4), sum += c[r % 16];
  printf("%f\n", sum);
}
