// A program whose function `work` does everything that an offload can meet: it
// changes memory and grows it, prints with pauses so that output is released,
// reads a line from stdin in the middle, and changes files at the end.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORDS (1 << 18)
static uint64_t table[WORDS];

static uint64_t mix(uint64_t x) {
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9u;
  x ^= x >> 27;
  return x * 0x94d049bb133111ebu;
}

__attribute__((noinline)) int work(int rounds) {
  puts("one");
  fflush(stdout);
  usleep(300000);
  puts("two");
  fflush(stdout);
  char line[64] = "";
  if (!fgets(line, sizeof line, stdin)) strcpy(line, "nothing\n");
  printf("read %s", line);
  fflush(stdout);
  for (int r = 0; r < rounds; r++)
    for (int i = 0; i < WORDS; i++) table[i] = mix(table[i] + i + r);
  uint64_t *more = malloc(1 << 20);
  for (int i = 0; i < (1 << 17); i++) more[i] = table[i] ^ i;
  uint64_t sum = 0;
  for (int i = 0; i < (1 << 17); i++) sum = mix(sum + more[i]);
  free(more);
  usleep(300000);
  FILE *f = fopen("result.txt", "w");
  if (!f) return -1;
  fprintf(f, "%016llx\n", (unsigned long long)sum);
  fclose(f);
  rename("old.txt", "new.txt");
  f = fopen("log.txt", "a");
  fputs("worked\n", f);
  fclose(f);
  puts("three");
  fflush(stdout);
  return (int)(sum & 63);
}

int main(void) {
  for (int i = 0; i < WORDS; i++) table[i] = mix(i);
  puts("begin");
  int code = work(3);
  uint64_t sum = 0;
  for (int i = 0; i < WORDS; i++) sum = mix(sum + table[i]);
  printf("end %d %016llx\n", code, (unsigned long long)sum);
  char line[64] = "";
  if (fgets(line, sizeof line, stdin)) printf("then %s", line);
  return code;
}
