#!/usr/bin/env bash
# fuzz.sh TIME [PATTERN]: every fuzz target of the module, or those whose names match, for TIME each, one after another; a table of what
# ran at the end.
# Inputs of new coverage are made smaller by a hundred tries each: the default of a minute each left large inputs no time to be fuzzed.
set -euo pipefail
time=${1:?usage: fuzz.sh TIME [PATTERN]} pattern=${2:-^Fuzz}
cd "$(dirname "$0")/.."
table=$(mktemp); trap 'rm -f "$table"' EXIT
for package in $(go list ./...); do
  for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' | grep -E "$pattern" || true); do
    echo "== $package $target"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 100x "$package" | tee /dev/stderr | grep -o 'execs: [0-9]*' | tail -n 1 |
      sed "s:^:$package $target :" >>"$table"
  done
done
printf '\n'; cat "$table"
