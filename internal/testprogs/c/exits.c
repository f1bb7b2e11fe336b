/* Exit codes: by return, by exit with handlers, by _Exit without. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOINLINE __attribute__((noinline))

static void first(void) { printf("first handler\n"); }
static void second(void) { printf("second handler\n"); }

NOINLINE void leave(const char *how, int code)
{
	if (strcmp(how, "exit") == 0)
		exit(code);
	if (strcmp(how, "_Exit") == 0) {
		fflush(stdout);
		_Exit(code);
	}
}

__attribute__((constructor)) static void before(void) { printf("constructor\n"); }
__attribute__((destructor)) static void after(void) { printf("destructor\n"); }

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	atexit(first);
	atexit(second);
	printf("main %s %s\n", argv[1], argv[2]);
	leave(argv[1], atoi(argv[2]));
	return atoi(argv[2]);
}
