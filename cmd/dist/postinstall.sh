#!/bin/sh
# After the installation: sets the group that may read /etc/culvert. The service is not started, because it has no
# configuration yet.
set -e
if ! getent group culvert-files >/dev/null; then
  systemd-sysusers culvert.conf 2>/dev/null || groupadd --system culvert-files
fi
chgrp -R culvert-files /etc/culvert
# Older packages created a group called culvert. While it exists without a user of that name, systemd cannot create the
# unit's dynamic user.
if ! getent passwd culvert >/dev/null && [ -n "$(getent group culvert | grep ':$')" ]; then
  groupdel culvert ||
    echo "culvert: the group culvert of an older package is still there, and the service does not start beside it" >&2
fi
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  # Compile plugins now, as the service's user and into its data folder: otherwise the first start needs seconds more.
  systemd-run --quiet --wait --collect --property=DynamicUser=yes --property=User=culvert \
    --property=StateDirectory=culvert --property=StateDirectoryMode=0700 --property=UMask=0077 \
    /usr/bin/culvert plugins warm --data /var/lib/culvert ||
    echo "culvert: plugins are compiled at the first start" >&2
  systemctl try-restart culvert.service
fi
