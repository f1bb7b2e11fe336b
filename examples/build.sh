#!/bin/sh
# build.sh rebuilds the modules in examples/prebuilt and records in
# prebuilt/MANIFEST what they were built from.
#
#   examples/build.sh            build all of them
#   examples/build.sh NAME...    build some: facerecognition mandelbrot sudoku
#   examples/build.sh --install  first install the C toolchain (Debian, root)
#
# Needs Go; for mandelbrot clang, lld and wasi-libc; for sudoku Node.js and npm.
# The same sources and toolchains give the same bytes.
set -eu
cd "$(dirname "$0")"

if [ "${1:-}" = --install ]; then
	shift
	dpkg -s clang lld wasi-libc libclang-rt-dev-wasm32 >/dev/null 2>&1 ||
		apt-get install -y --no-install-recommends clang lld wasi-libc libclang-rt-dev-wasm32
fi

# Each builder writes prebuilt/NAME.wasm and prints the toolchain's version.
# -trimpath and -buildvcs=false keep this machine and this checkout out of the
# module; -w leaves out debug data but keeps function names.
facerecognition() {
	GOOS=wasip1 GOARCH=wasm GOWASM='' GOFLAGS='' CGO_ENABLED=0 \
		go build -trimpath -buildvcs=false -ldflags=-w -o prebuilt/facerecognition.wasm ./facerecognition
	go env GOVERSION
}
mandelbrot() {
	# Two steps, because clang, told to optimize while it links, runs whatever
	# wasm-opt it finds, which takes the names away.
	object=$(mktemp)
	clang --target=wasm32-wasi -O2 -Wall -Wextra -c -o "$object" mandelbrot/mandelbrot.c
	clang --target=wasm32-wasi -Wl,--strip-debug -o prebuilt/mandelbrot.wasm "$object"
	rm -f "$object"
	clang -dumpversion | sed 's/^/clang/'
}
sudoku() {
	(cd sudoku && npm ci --silent && npm run --silent build) >&2
	(cd sudoku && node -p '"asc" + require("assemblyscript/package.json").version')
}

# sources lists the files a module is made of; keep it in step with sources in
# prebuilt_test.go.
sources() {
	case $1 in
	facerecognition) find facerecognition -name '*.go' ! -name '*_test.go' ! -path '*/photos/*'
		find facerecognition/internal/models/weights -type f ;;
	mandelbrot) echo mandelbrot/mandelbrot.c ;;
	sudoku) printf '%s\n' sudoku/sudoku.ts sudoku/package.json sudoku/package-lock.json ;;
	esac | LC_ALL=C sort
}

for name in ${*:-facerecognition mandelbrot sudoku}; do
	toolchain=$($name)
	chmod 644 "prebuilt/$name.wasm"
	module=$(sha256sum <"prebuilt/$name.wasm" | cut -d' ' -f1)
	source=$(sources "$name" | xargs sha256sum | sha256sum | cut -d' ' -f1)
	touch prebuilt/MANIFEST
	grep -v "^$name " prebuilt/MANIFEST >prebuilt/MANIFEST.new || true
	echo "$name $toolchain module $module sources $source" >>prebuilt/MANIFEST.new
	LC_ALL=C sort -o prebuilt/MANIFEST prebuilt/MANIFEST.new
	rm prebuilt/MANIFEST.new
done
cat prebuilt/MANIFEST
