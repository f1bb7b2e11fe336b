#!/bin/sh
# Builds the modules of this folder from their sources. Needs clang with a WASI
# sysroot. Linking apart from compiling keeps clang from running binaryen, which
# would inline nearly everything and drop the names.
set -eu
cd "$(dirname "$0")"
for f in *.c; do
  n=${f%.c}
  clang --target=wasm32-wasi -O2 -Wno-shift-op-parentheses -c -o "$n.o" "$f"
  clang --target=wasm32-wasi -Wl,--strip-debug -o "$n.wasm" "$n.o"
done
clang++ --target=wasm32-wasi -O2 -fno-exceptions -c -o shapes.o shapes.cc
clang++ --target=wasm32-wasi -Wl,--strip-debug -o shapes.wasm shapes.o
# The same without names, as many released modules are.
for n in alloc sha sortcb; do
  clang --target=wasm32-wasi -Wl,--strip-all -o "$n-stripped.wasm" "$n.o"
done
rm -f ./*.o
