#!/usr/bin/env bash
# The long suites; run them before resolving an issue that they concern. All of
# them take most of a night on 2 cores. Parts by name run these alone:
#
#   tests    every test, with all engines, programs, functions and seeds
#   race     every test of internal/ three times with the race detector
#   fuzz     every fuzz target for FUZZTIME (10m)
#
# WASI_TESTSUITE must name a checkout of WebAssembly/wasi-testsuite, branch
# prod/testsuite-base. Logs go to the folder NIGHTLY_LOGS (a new one).
set -euo pipefail
cd "$(dirname "$0")/.."
: "${WASI_TESTSUITE:?must name a checkout of WebAssembly/wasi-testsuite, branch prod/testsuite-base}"
export WASI_TESTSUITE
# What is missing fails, here as in CI.
export CI=true
bash scripts/test-deps.sh
logs=${NIGHTLY_LOGS:-$(mktemp -d)}
mkdir -p "$logs"
failed=()

part() {
  local name=$1 began=$SECONDS
  shift
  printf '\n== %s\n' "$name"
  if "$@" >"$logs/$name.txt" 2>&1; then
    printf '%s passed in %ss\n' "$name" $((SECONDS - began))
  else
    printf '%s FAILED after %ss: %s\n' "$name" $((SECONDS - began)) "$logs/$name.txt"
    grep -E '^ *--- FAIL|^FAIL|^panic:' "$logs/$name.txt" | head -20 || true
    failed+=("$name")
  fi
}

# CLONECLOUD_NIGHTLY: interpreters beside compilers in the specification's suites,
# rounds of random programs, every program under emulation, every called function
# of every program. The others are counts of their tests; a stride of 1 places two
# faults everywhere.
tests() {
  CGO_ENABLED=0 CLONECLOUD_NIGHTLY=1 CLONECLOUD_NIGHTLY_STEPS=300000 CLONECLOUD_SIM_SEEDS=1000000 CLONECLOUD_SIM_STRIDE=1 \
    go test -v -timeout 180m -shuffle=on ./...
}

race() { CGO_ENABLED=1 go test -race -count=3 -shuffle=on -timeout 120m ./internal/...; }

fuzz() { FUZZTIME=${FUZZTIME:-10m} bash scripts/fuzz.sh; }

[ $# -gt 0 ] || set -- tests race fuzz
for p in "$@"; do
  case $p in
  tests | race | fuzz) part "$p" "$p" ;;
  *) echo "no part $p; there are: tests race fuzz" >&2; exit 2 ;;
  esac
done
# What the tests say of their extent: functions offered, modules passed.
if [ -f "$logs/tests.txt" ]; then
  grep -E 'over all programs|did not move:|some calls did not:|modules pass|modules and actions|seeds, ' "$logs/tests.txt" | sort | uniq -c | sort -rn | head -60 || true
fi
if [ ${#failed[@]} -gt 0 ]; then
  echo "failed: ${failed[*]}"
  exit 1
fi
echo "all parts passed; logs: $logs"
