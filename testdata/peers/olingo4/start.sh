#!/usr/bin/env bash
# start.sh PORT ROWS DIR: an OData v4 service by Apache Olingo 5 on http://127.0.0.1:PORT/odata4.svc/, its set Products of ROWS rows,
# whose changes are tracked, and Items. PAGE sets the server's page size (default 1000). http://127.0.0.1:PORT/change is described
# in Service.java.
# Foreground; prints READY; ends on SIGTERM, SIGINT and, with UNTIL_EOF=1, at the end of standard input. DIR/server.log has one line
# for each request. Olingo is fetched once with Maven, into .peers of the repository.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd); peers=$(cd "$here/../../.." && pwd)/.peers
port=${1:?usage: start.sh PORT ROWS DIR}; rows=${2:?ROWS}; dir=${3:?DIR}
die() { echo "start.sh: $*" >&2; exit 1; }
for tool in curl sha256sum; do
  command -v "$tool" >/dev/null || die "$tool is needed and is not installed (or not in PATH)"
done
. "$here/../java.sh"
java_peer "$here" olingo4 olingo.version "Olingo 5"
classes=${lib%/lib}/classes-$(cat "$here"/*.java | sha256sum | cut -c1-12)
mkdir -p "$dir"; dir=$(cd "$dir" && pwd)
if [ ! -e "$classes/Service.class" ]; then
  exec 8>"${lib%/lib}/.lock"; flock 8
  "${java}c" -encoding UTF-8 -cp "$lib/*" -d "$classes" "$here"/*.java >&2 || die "the service does not compile"
  exec 8>&-
fi

. "$here/../server.sh"

"$java" -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$classes:$lib/*" Service "$port" "$rows" "${PAGE:-1000}" >"$dir/server.log" 2>&1 &
serve $! "service on $port" 120 curl -fs -o "$dir/metadata.xml" "http://127.0.0.1:$port/odata4.svc/\$metadata"
