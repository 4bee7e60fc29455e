#!/usr/bin/env bash
# fetch.sh: prints a folder with clients of Kafka Connect's REST API that others wrote, fetched once (CLIENTS_PEER_HOME, default
# .peers/clients-<hash of what pins them>): py/bin/kafka-connect, cli/bin/kafka_connect, healthcheck/bin/kafka-connect-healthcheck
# (each in an environment of its own: two have modules of one name), client.js with kafka-connect-client, go-client.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd); peers=$(cd "$here/../../.." && pwd)/.peers
die() { echo "fetch.sh: $*" >&2; exit 1; }
for tool in python3 node npm go flock timeout sha256sum; do
  command -v $tool >/dev/null || die "$tool is needed and is not installed (or not in PATH)"
done
pins=("$here"/*.txt "$here/package-lock.json" "$here"/go/go.sum "$here"/go/main.go)
home=${CLIENTS_PEER_HOME:-$peers/clients-$(cat "${pins[@]}" | sha256sum | cut -c1-12)}
mkdir -p "$home"
exec 8>"$home/.lock"; flock 8
cp "$here"/{package.json,package-lock.json,.npmrc,client.js} "$home/"
if [ ! -e "$home/.complete" ]; then
  for one in py cli healthcheck; do
    { rm -rf "${home:?}/$one" && python3 -m venv "$home/$one" &&
      timeout 300 "$home/$one/bin/pip" --disable-pip-version-check install --no-deps -r "$here/$one.txt"; } >"$home/$one.log" 2>&1 ||
      { tail -n 20 "$home/$one.log" >&2; die "pip install failed, see $home/$one.log"; }
  done
  (cd "$home" && timeout 400 npm ci >npm.log 2>&1) || { tail -n 20 "$home/npm.log" >&2; die "npm ci failed, see $home/npm.log"; }
  (cd "$here/go" && GOFLAGS=-mod=mod timeout 300 go build -o "$home/go-client" . >"$home/go.log" 2>&1) ||
    { tail -n 20 "$home/go.log" >&2; die "go build failed, see $home/go.log"; }
  touch "$home/.complete"
fi
echo "$home"
