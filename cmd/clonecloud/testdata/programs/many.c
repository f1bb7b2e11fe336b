// many DIR COUNT: rewrites the files 0 to COUNT-1 of DIR, and makes as many
// new ones, in one function that changes nothing else.
#include <stdio.h>
#include <stdlib.h>
static int put(const char *dir, const char *kind, int i, const char *text) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s%d", dir, kind, i);
  FILE *f = fopen(path, "w");
  if (!f) { perror(path); return 1; }
  for (int n = 0; n < 200; n++) fprintf(f, "%s %d %d\n", text, i, n);
  if (fclose(f)) { perror(path); return 1; }
  return 0;
}
__attribute__((noinline)) int work(const char *dir, int count) {
  int bad = 0;
  for (int i = 0; i < count; i++) bad |= put(dir, "", i, "second") | put(dir, "new", i, "second");
  return bad;
}
int main(int argc, char **argv) {
  if (argc < 3) return 2;
  int bad = work(argv[1], atoi(argv[2]));
  printf("done %d\n", bad);
  return bad;
}
