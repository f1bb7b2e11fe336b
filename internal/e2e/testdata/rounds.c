// Calls `round` a few times with pauses, so that a test can take the clone away
// and bring it back between two calls.
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#define WORDS (1 << 17)
static uint64_t table[WORDS];

__attribute__((noinline)) uint64_t step(int n) {
  uint64_t sum = 0;
  for (int i = 0; i < WORDS; i++) {
    table[i] = table[i] * 6364136223846793005u + n + i;
    sum ^= table[i];
  }
  return sum;
}

int main(void) {
  for (int i = 0; i < WORDS; i++) table[i] = (uint64_t)i * 0x9e3779b97f4a7c15u;
  for (int n = 0; n < 12; n++) {
    printf("%d %016llx\n", n, (unsigned long long)step(n));
    fflush(stdout);
    usleep(250000);
  }
  return 0;
}
