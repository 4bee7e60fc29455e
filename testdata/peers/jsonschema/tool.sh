#!/usr/bin/env bash
# tool.sh PROGRAM.java ARGS...: runs a program with the library everit, which holds JSON Schemas, and Jackson, which it fetches
# once with Maven. TIMEOUT (default 120 seconds) ends it.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../java.sh"
java_peer "$here" jsonschema everit.version everit
exec timeout "${TIMEOUT:-120}" "$java" -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$lib/*" "$@"
