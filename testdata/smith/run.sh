#!/usr/bin/env bash
# run.sh COUNT SEED: modules by wasm-smith (src/main.rs) on standard output. Needs cargo; builds into .peers/ (a minute the first time).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd); root=$(cd "$here/../.." && pwd)
command -v cargo >/dev/null || { echo "run.sh: cargo is missing: install a Rust toolchain (rustup)" >&2; exit 1; }
export CARGO_TARGET_DIR=$root/.peers/smith-target
cd "$here"
cargo build --quiet --locked --release >&2
exec "$CARGO_TARGET_DIR/release/smith" "$@"
