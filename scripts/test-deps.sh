#!/usr/bin/env bash
# Installs the Debian packages that some tests use: compilers to WebAssembly
# and an arm64 emulator. Tests skip with a message where these are missing;
# under CI=true such a skip is a failure.
set -euo pipefail
packages=(clang lld wasi-libc libclang-rt-dev-wasm32 libc++-14-dev-wasm32 libc++abi-14-dev-wasm32 qemu-user-static)
missing=()
for p in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
done
if [ ${#missing[@]} -gt 0 ]; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null
fi
