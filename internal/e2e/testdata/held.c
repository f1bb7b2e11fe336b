// A program that holds a file open while its function `work` runs.
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int fd;

__attribute__((noinline, export_name("work"))) int work(int rounds) {
  unsigned sum = 0;
  for (int i = 0; i < rounds; i++) sum = sum * 31 + i;
  return (int)(sum & 63);
}

int main(void) {
  fd = open("data.txt", O_RDWR);
  int code = work(1000000);
  char text[32] = "";
  ssize_t n = read(fd, text, sizeof text - 1);
  printf("%d %zd %s\n", code, n, text);
  return code;
}
