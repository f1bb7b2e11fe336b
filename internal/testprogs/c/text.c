/* Formatting, scanning and standard input: words are counted and ranked. */
#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOINLINE __attribute__((noinline))
enum { SLOTS = 4096, LENGTH = 24 };

static struct { char word[LENGTH]; int count; } table[SLOTS];

NOINLINE uint32_t hash(const char *s)
{
	uint32_t h = 2166136261u;
	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 16777619u;
	return h;
}

NOINLINE void count(const char *word)
{
	uint32_t at = hash(word) % SLOTS;
	while (table[at].count && strcmp(table[at].word, word) != 0)
		at = (at + 1) % SLOTS;
	if (!table[at].count)
		snprintf(table[at].word, LENGTH, "%s", word);
	table[at].count++;
}

static int rank(const void *a, const void *b)
{
	const __typeof__(table[0]) *x = a, *y = b;
	return x->count != y->count ? y->count - x->count : strcmp(x->word, y->word);
}

NOINLINE void formats(void)
{
	char text[64];
	printf("[%5d|%-5d|%05d|%+d|%x|%#o]\n", 42, 42, 42, 42, 0xbeef, 8);
	printf("[%lld|%llu|%hhd]\n", -9223372036854775807LL - 1, 18446744073709551615ULL, (signed char)200);
	printf("[%f|%e|%g|%.17g|%a]\n", 1.0 / 3, 12345.678, 1e-7, 0.1, 1.5);
	printf("[%f|%f|%.1f]\n", INFINITY, -INFINITY, -0.0);
	printf("[%10s|%-10s|%.3s|%c|%%]\n", "right", "left", "truncated", 'x');
	int n = snprintf(text, sizeof text, "%s-%03d-%.2f", "id", 7, 2.5);
	printf("[%s] %d\n", text, n);
	int a;
	double b;
	char c[8];
	n = sscanf("  17 apples 2.75", "%d %7s %lf", &a, c, &b);
	printf("scanned %d: %d %s %.3f\n", n, a, c, b);
	printf("strtol %ld strtod %.10g\n", strtol("-0x1fz", NULL, 16), strtod("6.02214076e23", NULL));
	printf("sin %.12f exp %.12f pow %.12f\n", sin(1), exp(1), pow(2, 0.5));
}

int main(int argc, char **argv)
{
	char line[512];
	int lines = 0;
	formats();
	for (int i = 1; i < argc; i++)
		printf("argument %d: %s\n", i, argv[i]);
	while (fgets(line, sizeof line, stdin)) {
		lines++;
		for (char *p = line; *p; p++)
			*p = isalpha((unsigned char)*p) ? tolower((unsigned char)*p) : ' ';
		for (char *w = strtok(line, " "); w; w = strtok(NULL, " "))
			count(w);
	}
	qsort(table, SLOTS, sizeof table[0], rank);
	printf("%d lines\n", lines);
	for (int i = 0; i < 8 && table[i].count; i++)
		printf("%4d %s\n", table[i].count, table[i].word);
	fprintf(stderr, "done\n");
	return 0;
}
