/* Recursion of several shapes: plain, nested, mutual, deep, and through memory. */
#include <stdio.h>
#include <stdint.h>
#include <string.h>

#define NOINLINE __attribute__((noinline))

NOINLINE uint32_t fib(uint32_t n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

NOINLINE uint32_t ackermann(uint32_t m, uint32_t n)
{
	if (m == 0)
		return n + 1;
	return ackermann(m - 1, n == 0 ? 1 : ackermann(m, n - 1));
}

NOINLINE int tak(int x, int y, int z)
{
	return y >= x ? z : tak(tak(x - 1, y, z), tak(y - 1, z, x), tak(z - 1, x, y));
}

NOINLINE int is_odd(uint64_t n);
NOINLINE int is_even(uint64_t n) { return n == 0 ? 1 : is_odd(n - 1) & 1; }
NOINLINE int is_odd(uint64_t n) { return n == 0 ? 0 : is_even(n - 1) & 1; }

static uint64_t moves;
static char pegs[3][32];

NOINLINE void hanoi(int n, int from, int to, int via)
{
	if (n == 0)
		return;
	hanoi(n - 1, from, via, to);
	size_t end = strlen(pegs[from]);
	char disc[2] = {pegs[from][end - 1], 0};
	pegs[from][end - 1] = 0;
	strcat(pegs[to], disc);
	moves++;
	hanoi(n - 1, via, to, from);
}

/* queens counts the ways to place the rest of n queens. */
NOINLINE int queens(int n, uint32_t columns, uint32_t left, uint32_t right)
{
	uint32_t all = (1u << n) - 1;
	if (columns == all)
		return 1;
	int count = 0;
	for (uint32_t free = all & ~(columns | left | right); free; free &= free - 1) {
		uint32_t bit = free & -free;
		count += queens(n, columns | bit, (left | bit) << 1, (right | bit) >> 1);
	}
	return count;
}

/* deep keeps a frame in linear memory for every level. */
NOINLINE uint64_t deep(int levels)
{
	volatile uint8_t frame[16];
	memset((void *)frame, levels, sizeof frame);
	if (levels == 0)
		return 0;
	uint64_t below = deep(levels - 1);
	return below * 31 + frame[levels % 16];
}

int main(void)
{
	printf("fib(27) = %u\n", fib(27));
	printf("ackermann(2, 300) = %u\n", ackermann(2, 300));
	printf("tak(14, 8, 3) = %d\n", tak(14, 8, 3));
	printf("is_even(2001) = %d\n", is_even(2001));
	strcpy(pegs[0], "hgfedcba");
	hanoi(8, 0, 2, 1);
	printf("hanoi: %llu moves, %s\n", (unsigned long long)moves, pegs[2]);
	printf("queens(9) = %d\n", queens(9, 0, 0, 0));
	printf("deep(1500) = %016llx\n", (unsigned long long)deep(1500));
	return 0;
}
