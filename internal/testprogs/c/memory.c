/* Heap use that grows linear memory: lists, trees, realloc, large blocks. */
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define NOINLINE __attribute__((noinline))

static uint32_t state = 1;

static uint32_t next(void)
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

struct node {
	uint32_t key;
	struct node *left, *right;
};

NOINLINE struct node *insert(struct node *n, uint32_t key)
{
	if (!n) {
		n = calloc(1, sizeof *n);
		if (!n)
			abort();
		n->key = key;
	} else if (key < n->key) {
		n->left = insert(n->left, key);
	} else {
		n->right = insert(n->right, key);
	}
	return n;
}

NOINLINE uint64_t walk(const struct node *n)
{
	return n ? walk(n->left) * 3 + n->key + walk(n->right) * 7 : 1;
}

NOINLINE void drop(struct node *n)
{
	if (n) {
		drop(n->left);
		drop(n->right);
		free(n);
	}
}

/* build makes and sums a tree, all within one call. */
NOINLINE uint64_t build(int count)
{
	struct node *root = NULL;
	for (int i = 0; i < count; i++)
		root = insert(root, next());
	uint64_t sum = walk(root);
	drop(root);
	return sum;
}

NOINLINE uint64_t doubling(size_t limit)
{
	uint8_t *p = NULL;
	uint64_t sum = 0;
	for (size_t n = 1000, done = 0; n <= limit; n *= 2) {
		p = realloc(p, n);
		if (!p)
			return 0;
		for (; done < n; done++)
			p[done] = (uint8_t)(done * 2654435761u >> 24);
		for (size_t i = 0; i < n; i += 97)
			sum = sum * 31 + p[i];
	}
	free(p);
	return sum;
}

/* churn frees and allocates blocks of many sizes in a shuffled order. */
NOINLINE uint64_t churn(int rounds)
{
	enum { SLOTS = 257 };
	static uint32_t *slots[SLOTS];
	uint64_t sum = 0;
	for (int i = 0; i < rounds; i++) {
		int at = next() % SLOTS;
		if (slots[at]) {
			sum += slots[at][0] ^ slots[at][slots[at][1] - 1];
			free(slots[at]);
		}
		uint32_t words = 2 + next() % 500;
		slots[at] = malloc(words * sizeof(uint32_t));
		if (!slots[at])
			abort();
		slots[at][words - 1] = next();
		slots[at][0] = i;
		slots[at][1] = words;
	}
	return sum;
}

/* exhaust asks for more than there can be, and must be told so. */
NOINLINE int exhaust(void)
{
	void *volatile p = malloc((size_t)0xf0000000u);
	return p == NULL;
}

int main(void)
{
	printf("memory at start: %d pages or more\n", __builtin_wasm_memory_size(0) >= 2 ? 2 : 0);
	printf("build %016llx\n", (unsigned long long)build(30000));
	printf("doubling %016llx\n", (unsigned long long)doubling(20 << 20));
	printf("churn %016llx\n", (unsigned long long)churn(50000));
	printf("exhaust %d\n", exhaust());
	printf("grown: %s\n", __builtin_wasm_memory_size(0) > 300 ? "yes" : "no");
	return 0;
}
