/* Files in the scratch folder: everything stdio and POSIX offer under WASI.
 * The caller puts in/numbers.txt there; result/ is left behind. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))
#define CHECK(x) do { if (!(x)) { printf("%s failed: %s\n", #x, strerror(errno)); exit(3); } } while (0)

NOINLINE long sum_file(const char *path)
{
	FILE *f = fopen(path, "r");
	if (!f)
		return -1;
	long sum = 0, v;
	while (fscanf(f, "%ld", &v) == 1)
		sum += v;
	fclose(f);
	return sum;
}

NOINLINE uint32_t checksum(const char *path)
{
	uint8_t block[1000];
	uint32_t h = 1;
	int fd = open(path, O_RDONLY);
	CHECK(fd >= 0);
	for (ssize_t n; (n = read(fd, block, sizeof block)) > 0;)
		for (ssize_t i = 0; i < n; i++)
			h = h * 31 + block[i];
	CHECK(close(fd) == 0);
	return h;
}

NOINLINE void write_table(const char *path, int rows)
{
	FILE *f = fopen(path, "w");
	CHECK(f);
	for (int i = 0; i < rows; i++)
		fprintf(f, "%d,%d,%d\n", i, i * i, i * i * i);
	CHECK(fclose(f) == 0);
}

static int by_name(const void *a, const void *b) { return strcmp(a, b); }

NOINLINE void list(const char *path)
{
	char names[32][64];
	int n = 0;
	DIR *d = opendir(path);
	CHECK(d);
	for (struct dirent *e; (e = readdir(d)) && n < 32;)
		if (e->d_name[0] != '.')
			snprintf(names[n++], sizeof names[0], "%s", e->d_name);
	closedir(d);
	qsort(names, n, sizeof names[0], by_name);
	printf("%s:", path);
	for (int i = 0; i < n; i++)
		printf(" %s", names[i]);
	printf("\n");
}

NOINLINE void edit(const char *path)
{
	int fd = open(path, O_RDWR);
	CHECK(fd >= 0);
	CHECK(lseek(fd, 10, SEEK_SET) == 10);
	CHECK(write(fd, "PATCHED", 7) == 7);
	CHECK(pwrite(fd, "#", 1, 0) == 1);
	char back[18] = {0};
	CHECK(pread(fd, back, 17, 0) == 17);
	for (char *p = back; *p; p++)
		if (*p == '\n')
			*p = '|';
	printf("edited: %s at %ld\n", back, (long)lseek(fd, 0, SEEK_CUR));
	CHECK(lseek(fd, 0, SEEK_END) > 0);
	CHECK(ftruncate(fd, 5000) == 0);
	CHECK(close(fd) == 0);
}

int main(void)
{
	struct stat st;
	printf("sum %ld\n", sum_file("in/numbers.txt"));
	printf("missing %ld: %s\n", sum_file("in/none.txt"), strerror(errno));
	CHECK(mkdir("result", 0755) == 0);
	printf("again: %d %s\n", mkdir("result", 0755), strerror(errno));
	write_table("result/table.csv", 400);
	edit("result/table.csv");
	CHECK(stat("result/table.csv", &st) == 0);
	printf("size %lld, %s\n", (long long)st.st_size, S_ISREG(st.st_mode) ? "file" : "other");
	FILE *f = fopen("result/log.txt", "a");
	CHECK(f);
	for (int i = 0; i < 3; i++)
		fprintf(f, "line %d\n", i);
	CHECK(fclose(f) == 0);
	f = fopen("result/log.txt", "a+");
	CHECK(f);
	fputs("last\n", f);
	rewind(f);
	for (char line[32]; fgets(line, sizeof line, f);)
		printf("log: %s", line);
	CHECK(fclose(f) == 0);
	write_table("result/temp", 5);
	CHECK(rename("result/temp", "result/small.csv") == 0);
	write_table("result/gone", 1);
	CHECK(unlink("result/gone") == 0);
	printf("unlink again: %d %s\n", unlink("result/gone"), strerror(errno));
	CHECK(mkdir("result/empty", 0755) == 0);
	CHECK(rmdir("result/empty") == 0);
	printf("rmdir of a full folder: %d\n", rmdir("result"));
	int fd = open("result/new", O_WRONLY | O_CREAT | O_EXCL, 0644);
	CHECK(fd >= 0);
	CHECK(close(fd) == 0);
	printf("exclusive again: %d %s\n", open("result/new", O_WRONLY | O_CREAT | O_EXCL, 0644), strerror(errno));
	list("result");
	printf("checksum %08x\n", checksum("result/table.csv"));
	printf("outside: %d\n", open("../outside", O_RDONLY));
	return 0;
}
