// A tiny recursive function, exported too: the worst case for a stub in a body.
#include <stdio.h>
__attribute__((noinline, export_name("fib"))) int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
int main(void) { printf("%d\n", fib(38)); }
