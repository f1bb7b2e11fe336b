// Small allocations, a hash map of strings, formatting.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
struct node { struct node *next; int count; char key[]; };
static struct node *table[4096];
static unsigned hash(const char *s) {
  unsigned h = 2166136261u;
  while (*s) h = (h ^ (unsigned char)*s++) * 16777619u;
  return h;
}
static void add(const char *key) {
  struct node **p = &table[hash(key) % 4096];
  for (struct node *n = *p; n; n = n->next)
    if (!strcmp(n->key, key)) {
      n->count++;
      return;
    }
  struct node *n = malloc(sizeof *n + strlen(key) + 1);
  n->next = *p, n->count = 1, strcpy(n->key, key), *p = n;
}
static void clear(void) {
  for (int i = 0; i < 4096; i++) {
    for (struct node *n = table[i], *next; n; n = next) next = n->next, free(n);
    table[i] = 0;
  }
}
int main(void) {
  unsigned s = 7, total = 0;
  char key[64];
  for (int r = 0; r < 10; r++) {
    for (int i = 0; i < 100000; i++) {
      s = s * 1664525 + 1013904223;
      snprintf(key, sizeof key, "key-%u-%x", (s >> 8) % 20000, (s >> 8) % 7);
      add(key);
    }
    for (int i = 0; i < 4096; i++)
      for (struct node *n = table[i]; n; n = n->next) total += n->count;
    clear();
  }
  printf("%u\n", total);
}
