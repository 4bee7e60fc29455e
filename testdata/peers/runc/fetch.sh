#!/usr/bin/env bash
# fetch.sh: runc, a container runtime, from the packages of this Debian (or Ubuntu), unpacked without being installed.
# Prints the folder; lib/runc and its libraries are in it.
# RUNC_PEER_HOME: where it lives (default .peers/runc in the repository).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=${RUNC_PEER_HOME:-$(cd "$here/../../.." && pwd)/.peers/runc}
die() { echo "fetch.sh: $*" >&2; exit 1; }
for tool in apt-get dpkg-deb flock timeout; do
  command -v $tool >/dev/null || die "$tool is needed and is not installed (or not in PATH): runc is taken from Debian's packages"
done
if [ ! -e "$home/.complete" ]; then
  mkdir -p "$home"
  exec 8>"$home/.lock"; flock 8
  if [ ! -e "$home/.complete" ]; then
    rm -rf "$home/debs" "$home/root" "$home/lib"; mkdir -p "$home/debs" "$home/root" "$home/lib"
    # As root apt-get warns that the folder is not _apt's; without its lists it knows no package.
    (cd "$home/debs" && timeout 120 apt-get download runc libseccomp2 >"$home/apt.log" 2>&1) ||
      { tail -n 5 "$home/apt.log" >&2; die "apt-get could not download runc (apt-get update is needed once where its lists are empty), see $home/apt.log"; }
    for deb in "$home"/debs/*.deb; do dpkg-deb -x "$deb" "$home/root"; done
    find "$home/root" \( -name 'lib*.so.*' -o -path '*/sbin/runc' \) \( -type f -o -type l \) -exec cp -P {} "$home/lib/" \;
    [ -e "$home/lib/runc" ] || die "no runc in the packages, see $home/root"
    touch "$home/.complete"
  fi
  exec 8>&-
fi
echo "$home"
