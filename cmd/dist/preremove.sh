#!/bin/sh
# Before the removal (not before an update, which has other arguments: deb passes upgrade, rpm passes 1): stops the service.
set -e
case "$1" in
upgrade | 1) exit 0 ;;
esac
if [ -d /run/systemd/system ]; then
  systemctl disable --now culvert.service || true
fi
