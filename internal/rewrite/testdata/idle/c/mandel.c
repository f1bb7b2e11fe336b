// Floating point in nested loops, one row a call.
#include <stdio.h>
__attribute__((noinline)) static int row(int y, int w, int h, int limit) {
  int sum = 0;
  for (int x = 0; x < w; x++) {
    double cr = 3.0 * x / w - 2.0, ci = 2.0 * y / h - 1.0, zr = 0, zi = 0;
    int i = 0;
    for (; i < limit && zr * zr + zi * zi < 4; i++) {
      double t = zr * zr - zi * zi + cr;
      zi = 2 * zr * zi + ci;
      zr = t;
    }
    sum += i;
  }
  return sum;
}
int main(void) {
  int sum = 0;
  for (int y = 0; y < 1600; y++) sum += row(y, 600, 1600, 400);
  printf("%d\n", sum);
}
