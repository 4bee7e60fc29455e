#!/usr/bin/env bash
# build.sh OUT.wasm: builds this guest with the C compiler of requirements.txt, which is fetched into .peers/ once (100 MB).
set -euo pipefail
out=${1:?usage: build.sh OUT.wasm}; mkdir -p "$(dirname "$out")"; out=$(cd "$(dirname "$out")" && pwd)/$(basename "$out")
here=$(cd "$(dirname "$0")" && pwd); root=$(cd "$here/../../.." && pwd); abi=$root/testdata/abi/c
home=${ZIG_HOME:-$root/.peers/zig-$(sha256sum "$here/requirements.txt" | cut -c1-12)}
command -v python3 >/dev/null && python3 -m pip --version >/dev/null 2>&1 || { echo "build.sh: python3 with pip is needed to fetch the C compiler" >&2; exit 1; }
mkdir -p "$home"
exec 8>"$home/.lock"; flock 8
if [ ! -e "$home/.complete" ]; then
  timeout 400 python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --only-binary=:all: --require-hashes \
    --target "$home" --upgrade -r "$here/requirements.txt" >&2
  touch "$home/.complete"
fi
export ZIG_GLOBAL_CACHE_DIR=$home/cache ZIG_LOCAL_CACHE_DIR=$home/cache
"$home/ziglang/zig" cc --target=wasm32-wasi -mexec-model=reactor -Os -s -Wall -Werror -Wno-unused-parameter -I"$abi" -I"$here" \
  "$here/plugin.c" "$here/encoding.c" "$abi/transform_plugin.c" "$abi/transform_plugin_component_type.o" -o "$out"
