#!/usr/bin/env bash
# fetch.sh: prints the folder of the npm packages of package-lock.json, .peers/socksv5-<hash of it>, after fetching them if they are
# not there yet.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd); peers=$(cd "$here/../../.." && pwd)/.peers
die() { echo "fetch.sh: $*" >&2; exit 1; }
for tool in node npm flock timeout sha256sum; do
  command -v $tool >/dev/null || die "$tool is needed and is not installed (or not in PATH)"
done
home=$peers/socksv5-$(sha256sum "$here/package-lock.json" | cut -c1-12)
mkdir -p "$home"
exec 8>"$home/.lock"; flock 8
if [ ! -e "$home/.complete" ]; then
  cp "$here/client.js" "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$home/"
  # not npm ci: it misses what the package brings along in its own folder
  (cd "$home" && timeout 300 npm install --no-save --ignore-scripts >npm.log 2>&1) || { tail -n 20 "$home/npm.log" >&2; die "npm install failed, see $home/npm.log"; }
  touch "$home/.complete"
fi
echo "$home"
