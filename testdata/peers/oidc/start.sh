#!/usr/bin/env bash
# start.sh PORT DIR: a token service (oidc-provider) on http://127.0.0.1:PORT/token, see server.js; SECRET is that of its clients, LIFE
# the life of its tokens in seconds. Foreground; prints READY; ends on SIGTERM, SIGINT and, with UNTIL_EOF=1, at the end of standard
# input. DIR/server.log has what it says.
# OIDC_PEER_HOME: where the npm packages live (default .peers/oidc-<hash of package-lock.json>).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd); peers=$(cd "$here/../../.." && pwd)/.peers
port=${1:?usage: start.sh PORT DIR}; dir=${2:?DIR}
die() { echo "start.sh: $*" >&2; exit 1; }
for tool in node npm flock timeout sha256sum; do
  command -v $tool >/dev/null || die "$tool is needed and is not installed (or not in PATH)"
done
home=${OIDC_PEER_HOME:-$peers/oidc-$(sha256sum "$here/package-lock.json" | cut -c1-12)}
mkdir -p "$home" "$dir"; dir=$(cd "$dir" && pwd)
exec 8>"$home/.lock"; flock 8
cp "$here"/{package.json,package-lock.json,.npmrc,server.js} "$home/"
if [ ! -e "$home/.complete" ]; then
  (cd "$home" && timeout 400 npm ci >npm.log 2>&1) || { tail -n 20 "$home/npm.log" >&2; die "npm ci failed, see $home/npm.log"; }
  touch "$home/.complete"
fi
exec 8>&-

. "$here/../server.sh"
: >"$dir/server.log"
(cd "$home" && exec env PORT="$port" node server.js) >"$dir/server.log" 2>&1 &
serve $! "server on $port" 300 grep -q '^READY$' "$dir/server.log"
