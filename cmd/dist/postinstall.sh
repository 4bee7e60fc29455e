#!/bin/sh
# After the package is there: the group that may read /etc/culvert. The service is not started, since nobody has told it
# yet what to do.
set -e
if ! getent group culvert-files >/dev/null; then
  systemd-sysusers culvert.conf 2>/dev/null || groupadd --system culvert-files
fi
chgrp -R culvert-files /etc/culvert
# Older packages made a group called culvert. As long as it is there and no user of the name is, systemd refuses to make
# the unit's dynamic user.
if ! getent passwd culvert >/dev/null && [ -n "$(getent group culvert | grep ':$')" ]; then
  groupdel culvert ||
    echo "culvert: the group culvert of an older package is still there, and the service does not start beside it" >&2
fi
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  # Compile plugins now, as the service's user and into its data folder: otherwise the first start takes seconds more.
  systemd-run --quiet --wait --collect --property=DynamicUser=yes --property=User=culvert \
    --property=StateDirectory=culvert --property=StateDirectoryMode=0700 --property=UMask=0077 \
    /usr/bin/culvert plugins warm --data /var/lib/culvert ||
    echo "culvert: plugins are compiled at the first start" >&2
  systemctl try-restart culvert.service
fi
