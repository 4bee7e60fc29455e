#!/usr/bin/env bash
# start.sh PORT DIR: a schema registry (Apicurio Registry, in memory) with Confluent's API on http://127.0.0.1:PORT/apis/ccompat/v7.
# Foreground; prints READY; ends on SIGTERM, SIGINT and, with UNTIL_EOF=1, at the end of standard input. DIR/server.log has what it
# says. It is fetched once with Maven, into .peers of the repository.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd); peers=$(cd "$here/../../.." && pwd)/.peers
port=${1:?usage: start.sh PORT DIR}; dir=${2:?DIR}
die() { echo "start.sh: $*" >&2; exit 1; }
java=${JAVA_HOME:+$JAVA_HOME/bin/}java
for tool in "$java" "${MVN:-mvn}" curl flock tar timeout sha256sum; do
  command -v "$tool" >/dev/null || die "$tool is needed and is not installed (or not in PATH)"
done
version=3.0.9 # the last one that runs on Java 17
sum=2b28181501a20cbf6efcd77f9b7153908fc01f3d3a7c32024c0bd9e1b04c8a43
home=$peers/registry-$version
mkdir -p "$home" "$dir"; dir=$(cd "$dir" && pwd)
exec 8>"$home/.lock"; flock 8
if [ ! -e "$home/.complete" ]; then
  (cd "$home" && timeout 400 "${MVN:-mvn}" -q -B dependency:copy -Dartifact="io.apicurio:apicurio-registry-app:$version:tar.gz:all" \
    -DoutputDirectory="$home" >"$home/maven.log" 2>&1) || { tail -n 20 "$home/maven.log" >&2; die "Maven could not fetch the registry, see $home/maven.log"; }
  echo "$sum  $home/apicurio-registry-app-$version-all.tar.gz" | sha256sum -c --quiet - >&2 || die "the registry that Maven fetched is not the one that is expected"
  mkdir -p "$home/app" && tar xzf "$home"/apicurio-registry-app-*.tar.gz -C "$home/app" && rm "$home"/apicurio-registry-app-*.tar.gz
  touch "$home/.complete"
fi
exec 8>&-

. "$here/../server.sh"
"$java" -Xmx384m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dquarkus.http.host=127.0.0.1 -Dquarkus.http.port="$port" \
  -jar "$home"/app/apicurio-registry-app-*-runner.jar >"$dir/server.log" 2>&1 &
serve $! "registry on $port" 900 curl -fs -o "$dir/ready" "http://127.0.0.1:$port/apis/ccompat/v7/subjects"
