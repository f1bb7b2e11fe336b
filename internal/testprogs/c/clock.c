/* Clocks, random numbers, sleeping, the environment: what differs from run to
 * run. Only what must hold is printed. */
#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

NOINLINE int64_t now(clockid_t clock)
{
	struct timespec t;
	return clock_gettime(clock, &t) == 0 ? t.tv_sec * 1000000000LL + t.tv_nsec : -1;
}

NOINLINE int monotonic(int rounds)
{
	int64_t last = now(CLOCK_MONOTONIC);
	for (int i = 0; i < rounds; i++) {
		int64_t t = now(CLOCK_MONOTONIC);
		if (t < last)
			return 0;
		last = t;
	}
	return 1;
}

NOINLINE int nap(int milliseconds)
{
	int64_t before = now(CLOCK_MONOTONIC);
	struct timespec t = {.tv_nsec = milliseconds * 1000000L};
	nanosleep(&t, NULL);
	return now(CLOCK_MONOTONIC) - before >= milliseconds * 1000000LL;
}

NOINLINE int entropy(void)
{
	uint8_t a[32], b[32];
	return getentropy(a, sizeof a) == 0 && getentropy(b, sizeof b) == 0 && memcmp(a, b, sizeof a) != 0;
}

int main(void)
{
	printf("real time is known: %s\n", now(CLOCK_REALTIME) > 0 ? "yes" : "no");
	printf("monotonic: %s\n", monotonic(1000) ? "yes" : "no");
	printf("slept: %s\n", nap(5) ? "yes" : "no");
	printf("entropy: %s\n", entropy() ? "yes" : "no");
	printf("yield: %d\n", sched_yield());
	printf("GREETING=%s\n", getenv("GREETING") ? getenv("GREETING") : "(unset)");
	return 0;
}
