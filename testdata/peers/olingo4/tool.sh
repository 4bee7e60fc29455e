#!/usr/bin/env bash
# tool.sh PROGRAM.java ARGS...: runs a program with the classes of Apache Olingo 5, client and server, which it fetches once with
# Maven. TIMEOUT (default 600 seconds) ends it. TIERED=4 lets the JVM compile as it does in production.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../java.sh"
java_peer "$here" olingo4 olingo.version "Olingo 5"
exec timeout "${TIMEOUT:-600}" "$java" -Xmx${HEAP:-256m} -XX:+UseSerialGC -XX:TieredStopAtLevel=${TIERED:-1} -cp "$lib/*" "$@"
