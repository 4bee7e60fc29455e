#!/usr/bin/env bash
# fetch.sh: prints the folder of the npm packages of package-lock.json (JCO_HOME, default .peers/jco-<hash of package-lock.json>),
# after fetching them if they are not there yet.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd); peers=$(cd "$here/../../.." && pwd)/.peers
die() { echo "fetch.sh: $*" >&2; exit 1; }
for tool in node npm flock timeout sha256sum; do
  command -v $tool >/dev/null || die "$tool is needed and is not installed (or not in PATH)"
done
home=${JCO_HOME:-$peers/jco-$(sha256sum "$here/package-lock.json" | cut -c1-12)}
if [ ! -e "$home/.complete" ]; then
  mkdir -p "$home"
  exec 8>"$home/.lock"; flock 8
  if [ ! -e "$home/.complete" ]; then
    cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$home/"
    # not npm ci: some of the packages for other machines than this were never published, which it takes for a lock out of date
    (cd "$home" && timeout 400 npm install --no-save >npm.log 2>&1) || { tail -n 20 "$home/npm.log" >&2; die "npm install failed, see $home/npm.log"; }
    touch "$home/.complete"
  fi
  exec 8>&-
fi
echo "$home"
