// Backtracking: recursion in a loop.
#include <stdio.h>
static int n, col[32], found;
__attribute__((noinline)) static int safe(int r, int c) {
  for (int i = 0; i < r; i++)
    if (col[i] == c || col[i] - c == i - r || col[i] - c == r - i) return 0;
  return 1;
}
__attribute__((noinline)) static void place(int r) {
  if (r == n) {
    found++;
    return;
  }
  for (int c = 0; c < n; c++)
    if (safe(r, c)) {
      col[r] = c;
      place(r + 1);
    }
}
int main(void) {
  for (n = 4; n <= 12; n++) place(0);
  printf("%d\n", found);
}
