#!/usr/bin/env bash
# tool.sh PROGRAM.java ARGS...: runs a program with Apicurio's fork of Confluent's AvroData and Kafka's converters, which it fetches
# once with Maven. TIMEOUT (default 600 seconds) ends it. CLASSES go in front of them; TIERED=4 lets the JVM compile as it does in
# production.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../java.sh"
java_peer "$here" avro apicurio.version AvroData
exec timeout "${TIMEOUT:-600}" "$java" -Xmx${HEAP:-256m} -XX:+UseSerialGC -XX:TieredStopAtLevel=${TIERED:-1} -cp "${CLASSES:+$CLASSES:}$lib/*" "$@"
