#!/bin/sh
# build.sh rebuilds the modules of this folder. It needs wabt and clang with
# wasi-libc (see internal/testprogs/build.sh).
set -eu
cd "$(dirname "$0")"
for source in *.wat; do
	wat2wasm --enable-all --debug-names "$source" -o "${source%.wat}.wasm"
done
object=$(mktemp)
trap 'rm -f "$object"' EXIT
for source in *.c; do
	clang --target=wasm32-wasi -O2 -Wall -Wextra -c -o "$object" "$source"
	clang --target=wasm32-wasi -Wl,--strip-debug -o "${source%.c}.wasm" "$object"
done
chmod 644 *.wasm
