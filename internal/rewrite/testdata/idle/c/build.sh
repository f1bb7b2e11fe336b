#!/bin/sh
# Builds the modules of this folder from their sources. Needs clang with a WASI sysroot.
set -eu
cd "$(dirname "$0")"
for f in *.c; do
  clang --target=wasm32-wasi -O2 -Wno-shift-op-parentheses -Wl,--strip-debug -o "${f%.c}.wasm" "$f"
done
clang++ --target=wasm32-wasi -O2 -fno-exceptions -Wl,--strip-debug -o shapes.wasm shapes.cc
# The same with names: where binaryen is installed, clang runs it at -O2 and it drops them.
clang --target=wasm32-wasi -O2 -c -o alloc.o alloc.c
clang --target=wasm32-wasi -Wl,--strip-debug -o alloc-named.wasm alloc.o
rm alloc.o
