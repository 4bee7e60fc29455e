#!/usr/bin/env bash
# tool.sh PROGRAM.java ARGS...: runs a program with the scheduler Quartz, which it fetches once with Maven. TIMEOUT (default 300
# seconds) ends it.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../java.sh"
java_peer "$here" quartz quartz.version Quartz
exec timeout "${TIMEOUT:-300}" "$java" -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$lib/*" "$@"
