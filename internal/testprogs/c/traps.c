/* Every way to end badly, chosen by the argument. Output before the end must
 * appear, output after it must not. */
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOINLINE __attribute__((noinline))

static volatile int zero = 0;
static volatile int minimum = INT_MIN;
static int work = 1;

/* effort changes memory before the trap. */
NOINLINE int effort(int n)
{
	for (int i = 0; i < n; i++)
		work = work * 1103515245 + 12345;
	return work & 0x7fffffff;
}

NOINLINE int out_of_bounds(int n) { return effort(n) + *(volatile int *)(uintptr_t)0xfffffff0u; }
NOINLINE int divide(int n) { return effort(n) / zero; }
NOINLINE int overflow(int n) { return (minimum | (effort(n) & 0)) / (zero - 1); }
NOINLINE int convert(int n)
{
	volatile double huge = 1e30 + effort(n);
	return __builtin_wasm_trunc_s_i32_f64(huge);
}

NOINLINE int unreachable(int n) { effort(n); __builtin_trap(); }
NOINLINE int endless(int n)
{
	work += n;
	return work == 1 ? 0 : endless(n | 1) * 2 + work;
}

static int takes_none(void) { return 7; }
NOINLINE int wrong_type(int n)
{
	int (*volatile f)(void) = takes_none;
	int (*g)(double, double) = (int (*)(double, double))(uintptr_t)f;
	return effort(n) + g(1, 2);
}

NOINLINE int null_call(int n)
{
	int (*volatile f)(int) = NULL;
	return f(effort(n));
}

int main(int argc, char **argv)
{
	static const struct { const char *name; int (*run)(int); } ways[] = {
		{"out-of-bounds", out_of_bounds}, {"divide", divide}, {"overflow", overflow},
		{"convert", convert}, {"unreachable", unreachable}, {"endless", endless},
		{"wrong-type", wrong_type}, {"null-call", null_call},
	};
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("before\n");
	if (argc > 1 && strcmp(argv[1], "abort") == 0)
		abort();
	for (size_t i = 0; argc > 1 && i < sizeof ways / sizeof *ways; i++)
		if (strcmp(argv[1], ways[i].name) == 0)
			printf("after: %d\n", ways[i].run(100000));
	printf("no such way\n");
	return 0;
}
