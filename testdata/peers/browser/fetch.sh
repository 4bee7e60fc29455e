#!/usr/bin/env bash
# fetch.sh: a browser and what examines pages in it. Prints the browser's program, then axe-core's file, a line each.
# The browser is the program that CULVERT_TEST_BROWSER names, else one that is installed, else Debian's chromium-headless-shell, which is
# installed where this runs as root. axe-core is pinned in package-lock.json.
# BROWSER_PEER_HOME: where axe-core lives (default .peers/browser in the repository).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=${BROWSER_PEER_HOME:-$(cd "$here/../../.." && pwd)/.peers/browser}
die() { echo "fetch.sh: $*" >&2; exit 1; }
for tool in npm flock timeout; do
  command -v $tool >/dev/null || die "$tool is needed and is not installed (or not in PATH)"
done
mkdir -p "$home"
exec 8>"$home/.lock"; flock 8
find_browser() { command -v "${CULVERT_TEST_BROWSER:-}" || command -v chromium-headless-shell || command -v chromium || command -v google-chrome; }
if ! find_browser >/dev/null; then
  [ -z "${CULVERT_TEST_BROWSER:-}" ] || die "CULVERT_TEST_BROWSER is $CULVERT_TEST_BROWSER: there is no such program"
  want="a browser is needed: Debian's package chromium-headless-shell, or the path of another Chromium in CULVERT_TEST_BROWSER"
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || die "$want"
  # The package is replaced with each security update, so that the lists of an image are soon too old.
  { timeout 120 apt-get update && DEBIAN_FRONTEND=noninteractive timeout 300 apt-get install -y --no-install-recommends chromium-headless-shell fonts-dejavu-core; } >"$home/apt.log" 2>&1 ||
    { tail -n 5 "$home/apt.log" >&2; die "$want; apt-get could not install it, see $home/apt.log"; }
fi
if ! cmp -s "$here/package-lock.json" "$home/package-lock.json" || [ ! -e "$home/node_modules/axe-core/axe.min.js" ]; then
  cp "$here/package.json" "$here/package-lock.json" "$home/"
  (cd "$home" && timeout 120 npm ci --no-audit --no-fund --ignore-scripts >npm.log 2>&1) || { tail -n 5 "$home/npm.log" >&2; die "npm could not fetch axe-core, see $home/npm.log"; }
fi
find_browser
echo "$home/node_modules/axe-core/axe.min.js"
