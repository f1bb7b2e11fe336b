// SHA-256 of many short messages: a block function of some 100 rounds.
#include <stdint.h>
#include <stdio.h>
#include <string.h>
static uint32_t k[64];
static uint32_t ror(uint32_t x, int n) { return x >> n | x << (32 - n); }
__attribute__((noinline)) static void block(uint32_t *h, const uint8_t *p) {
  uint32_t w[64], s[8];
  for (int i = 0; i < 16; i++) w[i] = p[4 * i] << 24 | p[4 * i + 1] << 16 | p[4 * i + 2] << 8 | p[4 * i + 3];
  for (int i = 16; i < 64; i++)
    w[i] = w[i - 16] + w[i - 7] + (ror(w[i - 15], 7) ^ ror(w[i - 15], 18) ^ w[i - 15] >> 3) +
           (ror(w[i - 2], 17) ^ ror(w[i - 2], 19) ^ w[i - 2] >> 10);
  memcpy(s, h, sizeof s);
  for (int i = 0; i < 64; i++) {
    uint32_t t1 = s[7] + (ror(s[4], 6) ^ ror(s[4], 11) ^ ror(s[4], 25)) + ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[i] + w[i];
    uint32_t t2 = (ror(s[0], 2) ^ ror(s[0], 13) ^ ror(s[0], 22)) + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
    memmove(s + 1, s, 7 * sizeof *s);
    s[4] += t1, s[0] = t1 + t2;
  }
  for (int i = 0; i < 8; i++) h[i] += s[i];
}
__attribute__((noinline)) static uint32_t digest(const uint8_t *msg, int n) {
  uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  uint8_t buf[64];
  for (; n >= 64; n -= 64, msg += 64) block(h, msg);
  memset(buf, 0, sizeof buf);
  memcpy(buf, msg, n);
  buf[n] = 0x80;
  block(h, buf);
  return h[0];
}
int main(void) {
  uint32_t x = 1, sum = 0;
  uint8_t msg[200];
  for (int i = 0; i < 64; i++) k[i] = (x = x * 1664525 + 1013904223);
  for (int i = 0; i < 200; i++) msg[i] = i;
  for (int i = 0; i < 300000; i++) {
    msg[i % 150] = i;
    sum += digest(msg, 100 + i % 90);
  }
  printf("%u\n", sum);
}
