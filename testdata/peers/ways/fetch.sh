#!/usr/bin/env bash
# fetch.sh: nginx, Squid, Tinyproxy and MicroSocks from the packages of this Debian (or Ubuntu), unpacked without being installed.
# Prints the folder; root/ in it is as / would be, versions.txt says what was had (Debian keeps one version of each package of a
# release, so that no other one can be asked for).
# WAYS_PEER_HOME: where they live (default .peers/ways in the repository).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=${WAYS_PEER_HOME:-$(cd "$here/../../.." && pwd)/.peers/ways}
packages=(nginx tinyproxy-bin microsocks squid squid-common squid-langpack libecap3 libnetfilter-conntrack3 libnfnetlink0 libltdl7 libtdb1)
die() { echo "fetch.sh: $*" >&2; exit 1; }
for tool in apt-get dpkg-deb flock timeout; do
  command -v $tool >/dev/null || die "$tool is needed and is not installed (or not in PATH): proxies are taken from Debian's packages"
done
if [ ! -e "$home/.complete" ]; then
  mkdir -p "$home"
  exec 8>"$home/.lock"; flock 8
  if [ ! -e "$home/.complete" ]; then
    rm -rf "$home/debs" "$home/root"; mkdir -p "$home/debs" "$home/root"
    # As root apt-get warns that the folder is not _apt's; without its lists it knows no package.
    (cd "$home/debs" && timeout 120 apt-get download "${packages[@]}" >"$home/apt.log" 2>&1) ||
      { tail -n 5 "$home/apt.log" >&2; die "apt-get could not download ${packages[*]} (apt-get update is needed once where its lists are empty), see $home/apt.log"; }
    for deb in "$home"/debs/*.deb; do
      dpkg-deb -x "$deb" "$home/root"
      dpkg-deb -W --showformat '${Package} ${Version}\n' "$deb"
    done >"$home/versions.txt"
    rm -rf "$home/debs"
    touch "$home/.complete"
  fi
  exec 8>&-
fi
echo "$home"
