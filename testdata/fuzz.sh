#!/usr/bin/env bash
# fuzz.sh TIME: every fuzz target of the module for TIME each, one after another; a table of what ran at the end.
set -euo pipefail
time=${1:?usage: fuzz.sh TIME}
cd "$(dirname "$0")/.."
table=$(mktemp); trap 'rm -f "$table"' EXIT
for package in $(go list ./...); do
  for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
    echo "== $package $target"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package" | tee /dev/stderr | grep -o 'execs: [0-9]*' | tail -n 1 |
      sed "s:^:$package $target :" >>"$table"
  done
done
printf '\n'; cat "$table"
