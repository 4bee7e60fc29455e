#!/usr/bin/env bash
# start.sh PORT ORDERS DIR [ROWS]: an OData v2 service by Apache Olingo on http://127.0.0.1:PORT/odata.svc/, its sets Orders and Items
# in memory, and Rows, whose changes are tracked.
# Foreground; prints READY; ends on SIGTERM, SIGINT and, with UNTIL_EOF=1, at the end of standard input. DIR/server.log has what it
# says. Olingo and Jetty are fetched once with Maven, into .peers of the repository.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd); peers=$(cd "$here/../../.." && pwd)/.peers
port=${1:?usage: start.sh PORT ORDERS DIR [ROWS]}; orders=${2:?ORDERS}; dir=${3:?DIR}
die() { echo "start.sh: $*" >&2; exit 1; }
java=${JAVA_HOME:+$JAVA_HOME/bin/}java
for tool in "$java" "${java}c" "${MVN:-mvn}" curl flock timeout sha256sum; do
  command -v "$tool" >/dev/null || die "$tool is needed and is not installed (or not in PATH)"
done
home=$peers/olingo-$(cat "$here/pom.xml" "$here"/*.java | sha256sum | cut -c1-12)
mkdir -p "$home" "$dir"; dir=$(cd "$dir" && pwd)
exec 8>"$home/.lock"; flock 8
if [ ! -e "$home/.complete" ]; then
  rm -rf "$home/lib" "$home/classes"
  timeout 400 "${MVN:-mvn}" -q -B -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$home/lib" >"$home/maven.log" 2>&1 ||
    { tail -n 20 "$home/maven.log" >&2; die "Maven could not fetch Olingo, see $home/maven.log"; }
  "${java}c" -encoding UTF-8 -cp "$home/lib/*" -d "$home/classes" "$here"/*.java >&2 || die "the service does not compile"
  touch "$home/.complete"
fi
exec 8>&-

server=
stop() {
  trap '' TERM INT
  [ -z "${watcher:-}" ] || kill "$watcher" 2>/dev/null || true
  [ -z "$server" ] || { kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; }
}
trap 'stop; exit 0' TERM INT
if [ -n "${UNTIL_EOF:-}" ]; then
  (trap - TERM INT; while read -r _; do :; done; kill "$$" 2>/dev/null) <&0 >/dev/null 2>&1 &
  watcher=$!
fi
"$java" -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$home/classes:$home/lib/*" Service "$port" "$orders" "${4:-0}" >"$dir/server.log" 2>&1 &
server=$!
end=$((SECONDS + 120))
until curl -fs -o "$dir/ready" "http://127.0.0.1:$port/odata.svc/\$metadata"; do
  kill -0 "$server" 2>/dev/null && [ "$SECONDS" -lt "$end" ] || { tail -n 20 "$dir/server.log" >&2; stop; die "no service on $port, see $dir/server.log"; }
  sleep 0.2
done
echo READY
set +e
wait "$server"
tail -n 5 "$dir/server.log" >&2; server=; stop; die "the service on $port has ended"
