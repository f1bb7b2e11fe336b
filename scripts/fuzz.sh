#!/usr/bin/env bash
# Runs every fuzz target of the repository for FUZZTIME (default 3s) each.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${FUZZTIME:-3s}
grep -rl --include='*_test.go' '^func Fuzz' . | while read -r file; do
  dir=$(dirname "$file")
  sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file" | while read -r target; do
    echo "fuzz $dir $target"
    go test -run '^$' -fuzz "^${target}\$" -fuzztime "$time" -fuzzminimizetime 20x -parallel 2 "$dir" </dev/null
  done
done
