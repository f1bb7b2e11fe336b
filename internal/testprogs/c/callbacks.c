/* Calls through pointers: the library's callbacks, tables, a small machine. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOINLINE __attribute__((noinline))

static int compares;

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	compares++;
	return (x > y) - (x < y);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

NOINLINE uint64_t sort_numbers(int count)
{
	uint32_t *v = malloc(count * sizeof *v);
	uint32_t x = 12345;
	for (int i = 0; i < count; i++)
		v[i] = x = x * 1664525 + 1013904223;
	qsort(v, count, sizeof *v, by_value);
	uint64_t sum = 0;
	for (int i = 0; i < count; i++)
		sum = sum * 1000003 + v[i];
	uint32_t *found = bsearch(&v[count / 3], v, count, sizeof *v, by_value);
	sum += found - v;
	free(v);
	return sum;
}

/* Functions of different types in tables. */
static int32_t add(int32_t a, int32_t b) { return (int32_t)((uint32_t)a + (uint32_t)b); }
static int32_t sub(int32_t a, int32_t b) { return (int32_t)((uint32_t)a - (uint32_t)b); }
static int32_t mul(int32_t a, int32_t b) { return (int32_t)((uint32_t)a * (uint32_t)b); }
static double halve(double v) { return v / 2; }
static double square(double v) { return v * v; }
static int64_t wide(int64_t a, float b, int32_t c) { return a * c + (int64_t)b; }

static int32_t (*const operators[])(int32_t, int32_t) = {add, sub, mul};
static double (*const functions[])(double) = {halve, square};
static int64_t (*volatile wide_pointer)(int64_t, float, int32_t) = wide;

/* machine runs a program of stack operations. */
NOINLINE int32_t machine(const char *program, int rounds)
{
	int32_t stack[16] = {0};
	int top = 0;
	for (int r = 0; r < rounds; r++) {
		top = 0;
		stack[0] = r;
		for (const char *p = program; *p; p++) {
			if (*p >= '0' && *p <= '9') {
				stack[++top] = *p - '0';
			} else {
				int op = *p == '+' ? 0 : *p == '-' ? 1 : 2;
				stack[top - 1] = operators[op](stack[top - 1], stack[top]);
				top--;
			}
		}
	}
	return stack[0];
}

NOINLINE double apply(int n, double v)
{
	for (int i = 0; i < n; i++)
		v = functions[v < 2](v + 1);
	return v;
}

NOINLINE void each(const char **words, int n, void (*f)(const char *, void *), void *context)
{
	for (int i = 0; i < n; i++)
		f(words[i], context);
}

static void count_letters(const char *word, void *context) { *(int *)context += (int)strlen(word); }

int main(void)
{
	const char *words[] = {"migrate", "clone", "phone", "thread", "cloud", "heap"};
	int n = sizeof words / sizeof *words, letters = 0;
	printf("sorted %016llx", (unsigned long long)sort_numbers(60000));
	printf(" with %d compares\n", compares);
	qsort(words, n, sizeof *words, by_text);
	for (int i = 0; i < n; i++)
		printf("%s ", words[i]);
	each(words, n, count_letters, &letters);
	printf("(%d letters)\n", letters);
	printf("machine %d\n", machine("3+4*5-2*7+", 200000));
	printf("apply %.17g\n", apply(100000, 1));
	printf("wide %lld\n", (long long)wide_pointer(1LL << 40, 2.5f, -3));
	return 0;
}
