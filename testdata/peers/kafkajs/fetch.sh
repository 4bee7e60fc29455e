#!/usr/bin/env bash
# fetch.sh: prints a folder with the programs of examples/tunnel-nodejs and the packages of its package-lock.json, which it fetches once
# (KAFKAJS_HOME, default .peers/kafkajs-<hash of package-lock.json>).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd); peers=$(cd "$here/../../.." && pwd)/.peers
example=$(cd "$here/../../../examples/tunnel-nodejs" && pwd)
die() { echo "fetch.sh: $*" >&2; exit 1; }
for tool in node npm flock timeout sha256sum; do
  command -v $tool >/dev/null || die "$tool is needed and is not installed (or not in PATH)"
done
home=${KAFKAJS_HOME:-$peers/kafkajs-$(sha256sum "$example/package-lock.json" | cut -c1-12)}
mkdir -p "$home"
exec 8>"$home/.lock"; flock 8
cp "$example"/{package.json,package-lock.json,.npmrc,kafka.js,producer.js,consumer.js} "$home/"
if [ ! -e "$home/.complete" ]; then
  (cd "$home" && timeout 400 npm ci >npm.log 2>&1) || { tail -n 20 "$home/npm.log" >&2; die "npm ci failed, see $home/npm.log"; }
  touch "$home/.complete"
fi
echo "$home"
