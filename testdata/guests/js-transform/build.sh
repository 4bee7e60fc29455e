#!/usr/bin/env bash
# build.sh OUT.wasm: builds this guest with componentize-js (20 s); .peers/ keeps what comes out for the same input.
set -euo pipefail
out=${1:?usage: build.sh OUT.wasm}
here=$(cd "$(dirname "$0")" && pwd); root=$(cd "$here/../../.." && pwd)
JCO_HOME=$("$root/testdata/peers/jco/fetch.sh"); export JCO_HOME
made=$root/.peers/js-transform-$(cat "$here/plugin.js" "$here/build.mjs" "$root/wit/culvert.wit" "$root/testdata/peers/jco/package-lock.json" | sha256sum | cut -c1-12).wasm
mkdir -p "$(dirname "$out")"
if [ ! -e "$made" ]; then
  node "$here/build.mjs" "$made.$$" >&2
  mv "$made.$$" "$made"
fi
cp "$made" "$out"
