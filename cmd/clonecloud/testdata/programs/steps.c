// steps COUNT MILLIONS [FILE]: prints a line after each of COUNT steps of
// computation; at the end writes FILE.
#include <stdio.h>
#include <stdlib.h>
#include <stdint.h>
__attribute__((noinline)) uint32_t step(uint32_t x, long n) {
  for (long i = 0; i < n; i++) x = x * 1664525u + 1013904223u + (x >> 13);
  return x;
}
__attribute__((noinline)) uint32_t work(int count, long n) {
  uint32_t x = 1;
  for (int i = 0; i < count; i++) { x = step(x, n); printf("step %d %08x\n", i, x); fflush(stdout); }
  return x;
}
int main(int argc, char **argv) {
  int count = argc > 1 ? atoi(argv[1]) : 3;
  long n = (argc > 2 ? atol(argv[2]) : 1) * 1000000;
  uint32_t x = work(count, n);
  if (argc > 3) {
    FILE *f = fopen(argv[3], "w");
    if (!f) { perror(argv[3]); return 1; }
    fprintf(f, "%08x\n", x);
    for (int i = 5; argc > 4 && i < 5 + atoi(argv[4]); i++) fprintf(f, "%063d\n", i);
    int bad = fflush(f) | ferror(f);
    if (bad) perror("write");
    if (fclose(f) | bad) return 1;
  }
  printf("end %08x\n", x);
  return 0;
}
