#!/bin/sh
# Before the package goes for good (an update comes with other arguments: deb says upgrade, rpm says 1): the service ends.
set -e
case "$1" in
upgrade | 1) exit 0 ;;
esac
if [ -d /run/systemd/system ]; then
  systemctl disable --now culvert.service || true
fi
