#!/bin/sh
# After the package is there: the group that may read /etc/culvert. The service is not started, since nobody has told it
# yet what to do.
set -e
if ! getent group culvert-files >/dev/null; then
  systemd-sysusers culvert.conf 2>/dev/null || groupadd --system culvert-files
fi
chgrp -R culvert-files /etc/culvert
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  systemctl try-restart culvert.service
fi
