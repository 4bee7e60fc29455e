#!/usr/bin/env bash
# build.sh OUT.wasm: builds this guest with cargo for wasm32-unknown-unknown. Where the toolchain has no such target, rustup fetches a
# toolchain of its own into .peers (a minute or two, once): nothing is installed for the system, or changed in the user's toolchains.
set -euo pipefail
out=${1:?usage: build.sh OUT.wasm}
here=$(cd "$(dirname "$0")" && pwd); root=$(cd "$here/../../.." && pwd)
target=wasm32-unknown-unknown
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/.peers/rust-target}
mkdir -p "$CARGO_TARGET_DIR" "$(dirname "$out")"
cd "$here"
has_target() { [ -d "$(rustc --print sysroot 2>/dev/null)/lib/rustlib/$target/lib" ]; }
if ! has_target; then
  command -v rustup >/dev/null ||
    { echo "build.sh: no Rust target $target, and no rustup to fetch it: add it to the toolchain on PATH" >&2; exit 1; }
  export RUSTUP_HOME=${RUST_PEER:-$root/.peers/rustup} RUSTUP_TOOLCHAIN=stable
  has_target || timeout 600 rustup --quiet toolchain install stable --profile minimal --target "$target" --no-self-update >&2
  has_target || { echo "build.sh: rustup did not fetch the Rust target $target" >&2; exit 1; }
fi
cargo build --quiet --locked --release --target "$target"
cp "$CARGO_TARGET_DIR/$target/release/rust_transform.wasm" "$out"
