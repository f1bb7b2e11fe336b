#!/bin/sh
# build.sh rebuilds the test programs in wasm/ from their sources and records
# in wasm/MANIFEST what they were built from. It needs Go, clang with lld,
# wasi-libc and libc++ for wasm32, wabt, Node.js and npm; with --install it
# first installs the Debian packages among these (as root).
set -eu
cd "$(dirname "$0")"

if [ "${1:-}" = --install ]; then
	apt-get install -y --no-install-recommends clang lld wasi-libc libclang-rt-dev-wasm32 \
		libc++-14-dev-wasm32 libc++abi-14-dev-wasm32 wabt
fi

record() { # NAME TOOLCHAIN SOURCE...
	name=$1 toolchain=$2
	shift 2
	chmod 644 "wasm/$name.wasm"
	module=$(sha256sum <"wasm/$name.wasm" | cut -d' ' -f1)
	source=$(printf '%s\n' "$@" | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -d' ' -f1)
	echo "$name $toolchain module $module sources $source" >>wasm/MANIFEST.new
}

# Compiling and linking are two steps because clang, told to optimize while it
# links, runs whatever wasm-opt it finds, which takes the names away.
object=$(mktemp)
trap 'rm -f "$object"' EXIT
: >wasm/MANIFEST.new
clang=clang$(clang -dumpversion)
for source in c/*.c; do
	name=c-$(basename "$source" .c)
	simd=
	[ "$name" = c-simd ] && simd=-msimd128
	clang --target=wasm32-wasi -O2 $simd -Wall -Wextra -c -o "$object" "$source"
	clang --target=wasm32-wasi -Wl,--strip-debug -o "wasm/$name.wasm" "$object"
	record "$name" "$clang" "$source"
done
clang++ --target=wasm32-wasi -O2 -std=c++17 -fno-exceptions -Wall -Wextra -c -o "$object" cpp/objects.cpp
clang++ --target=wasm32-wasi -Wl,--strip-debug -o wasm/cpp-objects.wasm "$object"
record cpp-objects "$clang" cpp/objects.cpp
for source in wat/*.wat; do
	name=wat-$(basename "$source" .wat)
	wat2wasm --debug-names "$source" -o "wasm/$name.wasm"
	record "$name" "wabt$(wat2wasm --version)" "$source"
done
GOOS=wasip1 GOARCH=wasm GOWASM='' GOFLAGS='' CGO_ENABLED=0 \
	go build -trimpath -buildvcs=false -ldflags=-w -o wasm/goprog.wasm ./goprog
record goprog "$(go env GOVERSION)" goprog/*.go
(cd as && npm ci --silent && npm run --silent build)
record as-program "asc$(cd as && node -p 'require("assemblyscript/package.json").version')" \
	as/program.ts as/package.json as/package-lock.json
LC_ALL=C sort wasm/MANIFEST.new >wasm/MANIFEST
rm wasm/MANIFEST.new
cat wasm/MANIFEST
