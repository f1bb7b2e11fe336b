/* Computation with every value type: hashes, matrices, simulation, primes. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOINLINE __attribute__((noinline))

NOINLINE uint32_t crc32(uint32_t seed, int length)
{
	uint32_t crc = ~seed;
	for (int i = 0; i < length; i++) {
		crc ^= (uint8_t)(i * 7);
		for (int b = 0; b < 8; b++)
			crc = crc >> 1 ^ (0xedb88320u & -(crc & 1));
	}
	return ~crc;
}

NOINLINE uint64_t mix(uint64_t x, uint32_t rounds)
{
	for (uint32_t i = 0; i < rounds; i++) {
		x ^= x >> 33;
		x *= 0xff51afd7ed558ccdULL;
		x = x << 13 | x >> 51;
		x += i % 2 ? __builtin_popcountll(x) : __builtin_clzll(x | 1);
	}
	return x;
}

NOINLINE float matrix(int n)
{
	float *a = malloc(3 * n * n * sizeof *a), *b = a + n * n, *c = b + n * n;
	for (int i = 0; i < n * n; i++) {
		a[i] = (float)(i % 13) / 7;
		b[i] = (float)(i % 17) / 5;
		c[i] = 0;
	}
	for (int i = 0; i < n; i++)
		for (int k = 0; k < n; k++)
			for (int j = 0; j < n; j++)
				c[i * n + j] += a[i * n + k] * b[k * n + j];
	float trace = 0;
	for (int i = 0; i < n; i++)
		trace += c[i * n + i];
	free(a);
	return trace;
}

NOINLINE double orbit(double x, double v, int steps)
{
	double y = 0, u = 1;
	for (int i = 0; i < steps; i++) {
		double r = sqrt(x * x + y * y), g = -1e-4 / (r * r * r);
		v += g * x;
		u += g * y * 0.9;
		x += v * 1e-3;
		y += u * 1e-3;
	}
	return x * y + v * u;
}

static uint8_t sieve[1 << 20];

NOINLINE int primes(int limit)
{
	int count = 0;
	memset(sieve, 0, limit);
	for (int i = 2; i < limit; i++) {
		if (sieve[i])
			continue;
		count++;
		for (int64_t j = (int64_t)i * i; j < limit; j += i)
			sieve[j] = 1;
	}
	return count;
}

/* signature takes and returns a value of each type in turn. */
NOINLINE double signature(int32_t a, int64_t b, float c, double d, uint8_t e, int16_t f)
{
	return (double)a + (double)b * 0.5 + (double)c * 0.25 + d + e * 3 - f;
}

/* bits passes values that compare as nothing: signs of zero, payloads of NaN. */
NOINLINE double bits(uint64_t raw)
{
	double d;
	memcpy(&d, &raw, 8);
	return d;
}

int main(void)
{
	printf("crc32 %08x\n", crc32(7, 1 << 20));
	printf("mix %016llx\n", (unsigned long long)mix(42, 2000000));
	printf("matrix %.9g\n", matrix(128));
	printf("orbit %.17g\n", orbit(1, 0, 300000));
	printf("primes %d\n", primes(1 << 20));
	printf("signature %.17g\n", signature(-5, 1LL << 50, 1.5f, -0.0, 255, -300));
	uint64_t raw[] = {0x8000000000000000u, 0x7ff8000000000123u, 0x7ff0000000000000u, 1};
	for (int i = 0; i < 4; i++) {
		double d = bits(raw[i]);
		uint64_t back;
		memcpy(&back, &d, 8);
		printf("bits %016llx\n", (unsigned long long)back);
	}
	return 0;
}
