#!/usr/bin/env bash
# oracle.sh: writes the golden cases of this folder again, with Kafka's own converters: *.golden, primitives.tsv,
# strings.tsv, grid.tsv and documents.tsv.
# Needs java 17 and Maven, with which testdata/peers/kafka fetches Kafka. `make test-real` fails where they differ.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd); tool=$here/../peers/kafka/tool.sh
TIMEOUT=300 "$tool" "$here/Replay.java" "$here" write
TIMEOUT=300 "$tool" "$here/Primitives.java" "$here/primitives.tsv" write
cut -f 1-3 "$here/strings.tsv" >"$here/strings.in"
trap 'rm -f "$here/strings.in" "$here/strings.out" "$here/grid.in" "$here/grid.out"' EXIT
TIMEOUT=300 "$tool" "$here/Decode.java" "$here/strings.in" >"$here/strings.out"
paste "$here/strings.in" "$here/strings.out" >"$here/strings.tsv"
cut -f 1-3 "$here/grid.tsv" >"$here/grid.in"
TIMEOUT=300 "$tool" "$here/Rewrite.java" "$here/grid.in" plain | tail -n +2 >"$here/grid.out"
paste "$here/grid.in" "$here/grid.out" >"$here/grid.tsv"
cut -f 1-3 "$here/documents.tsv" >"$here/grid.in"
TIMEOUT=300 "$tool" "$here/Rewrite.java" "$here/grid.in" | tail -n +2 >"$here/grid.out"
cut -f 1-4 "$here/documents.tsv" | paste - "$here/grid.out" >"$here/documents.new"
mv "$here/documents.new" "$here/documents.tsv"
