#!/usr/bin/env bash
# oracle.sh: what the component model's own tools make of wit/: the core names and signatures of each world's exports, as text,
# one file a world in this folder, and in c/ the bindings for C that testdata/guests/c-transform is built with.
# Needs cargo (a Rust toolchain); installs wasm-tools and wit-bindgen into .peers/ when they are not there.
# `oracle.sh --check` writes nothing and ends with 1 when the files here are not what the tool writes.
set -euo pipefail
version=1.263.0 bindgen=0.63.0
here=$(cd "$(dirname "$0")" && pwd); root=$(cd "$here/../.." && pwd); tools=$root/.peers/wasm-tools-$version; c=$root/.peers/wit-bindgen-$bindgen
command -v cargo >/dev/null || { echo "oracle.sh: cargo is missing: install a Rust toolchain (rustup)" >&2; exit 1; }
[ -x "$tools/bin/wasm-tools" ] || cargo install --quiet --locked "wasm-tools@$version" --root "$tools"
[ -x "$c/bin/wit-bindgen" ] || cargo install --quiet --locked "wit-bindgen-cli@$bindgen" --root "$c"
out=$here
[ "${1:-}" != --check ] || { out=$(mktemp -d); trap 'rm -rf "$out"' EXIT; }
for world in source-plugin sink-plugin transform-plugin full-source-plugin; do
  {
    echo ";; wasm-tools $version: component embed --dummy-names legacy wit -w $world -t"
    "$tools/bin/wasm-tools" component embed --dummy-names legacy "$root/wit" -w "$world" -t
  } >"$out/$world.wat"
done
"$c/bin/wit-bindgen" c "$root/wit" -w transform-plugin --out-dir "$out/c" >/dev/null
[ "$out" = "$here" ] || diff -ru --exclude='*.sh' --exclude='*.md' "$here" "$out"
