// A small dictionary compressor and its inverse.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
enum { N = 1 << 20 };
static unsigned char in[N], packed[2 * N], back[N];
static int head[1 << 16];
__attribute__((noinline)) static int match(const unsigned char *a, const unsigned char *b, int max) {
  int n = 0;
  while (n < max && a[n] == b[n]) n++;
  return n;
}
static int pack(const unsigned char *s, int n, unsigned char *out) {
  int o = 0;
  memset(head, 0xff, sizeof head);
  for (int i = 0; i < n;) {
    int best = 0, at = 0;
    if (i + 4 <= n) {
      unsigned h = (s[i] | s[i + 1] << 8 | s[i + 2] << 16) * 2654435761u >> 16;
      int p = head[h];
      head[h] = i;
      if (p >= 0 && i - p < 65536) best = match(s + p, s + i, n - i < 255 ? n - i : 255), at = i - p;
    }
    if (best >= 4) {
      out[o++] = best, out[o++] = at, out[o++] = at >> 8;
      i += best;
    } else
      out[o++] = 0, out[o++] = s[i++];
  }
  return o;
}
static int unpack(const unsigned char *s, int n, unsigned char *out) {
  int o = 0;
  for (int i = 0; i < n;) {
    int len = s[i++];
    if (!len) {
      out[o++] = s[i++];
      continue;
    }
    int at = s[i] | s[i + 1] << 8;
    i += 2;
    for (; len--; o++) out[o] = out[o - at];
  }
  return o;
}
int main(void) {
  unsigned s = 3;
  for (int i = 0; i < N; i++) in[i] = i > 100 && (s = s * 1664525 + 1013904223) >> 29 ? in[i - 97] : s >> 24;
  int n = 0;
  for (int r = 0; r < 40; r++) {
    n = pack(in, N, packed);
    if (unpack(packed, n, back) != N || memcmp(in, back, N)) abort();
  }
  printf("%d\n", n);
}
