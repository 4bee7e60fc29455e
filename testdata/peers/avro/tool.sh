#!/usr/bin/env bash
# tool.sh PROGRAM.java ARGS...: runs a program with Apicurio's fork of Confluent's AvroData and Kafka's converters, which it fetches
# once with Maven. TIMEOUT (default 600 seconds) ends it. CLASSES go in front of them; TIERED=4 lets the JVM compile as it does in
# production.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
version=$(sed -n 's:.*<apicurio.version>\(.*\)</apicurio.version>.*:\1:p' "$here/pom.xml")
home=$(cd "$here/../../.." && pwd)/.peers/avro-$version
java=${JAVA_HOME:+$JAVA_HOME/bin/}java
for tool in "$java" timeout flock; do
  command -v "$tool" >/dev/null || { echo "$0: $tool is needed and is not installed (or not in PATH)" >&2; exit 1; }
done
if [ ! -e "$home/.complete" ]; then
  mkdir -p "$home"
  exec 8>"$home/.lock"; flock 8
  if [ ! -e "$home/.complete" ]; then
    rm -rf "$home/lib"
    timeout 400 "${MVN:-mvn}" -q -B -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$home/lib" >"$home/maven.log" 2>&1 ||
      { tail -n 20 "$home/maven.log" >&2; echo "$0: Maven could not fetch AvroData, see $home/maven.log" >&2; exit 1; }
    touch "$home/.complete"
  fi
  exec 8>&-
fi
exec timeout "${TIMEOUT:-600}" "$java" -Xmx${HEAP:-256m} -XX:+UseSerialGC -XX:TieredStopAtLevel=${TIERED:-1} -cp "${CLASSES:+$CLASSES:}$home/lib/*" "$@"
