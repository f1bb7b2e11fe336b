#!/bin/sh
# Rebuilds the test modules from their text; needs wat2wasm of wabt 1.0.32.
set -eu
cd "$(dirname "$0")"
for f in *.wat; do
	wat2wasm --enable-tail-call "$f" -o "${f%.wat}.wasm"
done
