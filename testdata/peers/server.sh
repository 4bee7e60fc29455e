# server.sh: what scripts that start one server share; they source it. A script starts its server in the background, calls
# `serve PID WHAT SECONDS COMMAND...` and so says READY when COMMAND passes, and ends with the server. It ends on SIGTERM,
# SIGINT and, with UNTIL_EOF=1, at the end of standard input. It has a function die, and its logs in the folder $dir.
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

# serve PID WHAT SECONDS COMMAND...: waits until COMMAND passes, at most SECONDS, then until the server has ended.
serve() {
  local what=$2 end=$((SECONDS + $3))
  server=$1; shift 3
  until "$@" 2>/dev/null; do
    kill -0 "$server" 2>/dev/null && [ "$SECONDS" -lt "$end" ] || { tail -n 20 "$dir"/*.log >&2; stop; die "no $what, see $dir"; }
    sleep 0.1
  done
  echo READY
  set +e
  wait "$server"
  tail -n 5 "$dir"/*.log >&2; server=; stop; die "$what has ended"
}
