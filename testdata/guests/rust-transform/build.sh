#!/usr/bin/env bash
# build.sh OUT.wasm: builds this guest with cargo for wasm32-unknown-unknown. Where the toolchain has no such target and rustup
# cannot fetch it, Debian's packages build the standard library from source (2 to 3 minutes the first time).
set -euo pipefail
out=${1:?usage: build.sh OUT.wasm}
here=$(cd "$(dirname "$0")" && pwd); root=$(cd "$here/../../.." && pwd)
target=wasm32-unknown-unknown
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/.peers/rust-target}
mkdir -p "$CARGO_TARGET_DIR" "$(dirname "$out")"
cd "$here"
has_target() { [ -d "$(rustc --print sysroot 2>/dev/null)/lib/rustlib/$target/lib" ]; }
if command -v rustup >/dev/null && ! has_target; then timeout 60 rustup --quiet target add "$target" >&2 || true; fi
if has_target; then
  cargo build --quiet --locked --release --target "$target"
else
  if ! dpkg -s rustc-web rust-web-src lld-22 >/dev/null 2>&1; then
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
      { echo "build.sh: no Rust target $target: run 'rustup target add $target', or install Debian's rustc-web cargo-web rust-web-src lld-22" >&2; exit 1; }
    apt-get update -qq >&2 && apt-get install -y -qq --no-install-recommends rustc-web cargo-web rust-web-src lld-22 >&2
  fi
  PATH=/usr/bin:$PATH RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld-22 \
    cargo build --quiet --locked --release -Z build-std=std,panic_abort --target "$target"
fi
cp "$CARGO_TARGET_DIR/$target/release/rust_transform.wasm" "$out"
