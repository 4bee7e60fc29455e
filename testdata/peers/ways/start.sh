#!/usr/bin/env bash
# start.sh SERVER PORT DIR: a server on 127.0.0.1:PORT that stands between clients and services. Foreground; prints READY; ends on
# SIGTERM, SIGINT and, with UNTIL_EOF=1, at the end of standard input. SERVER is
#   squid       HTTP proxy, user "corp user", password p@ss:w/rd%; knows the names of HOSTS ("127.0.0.1 a b"); DIR/access.log
#   tinyproxy   HTTP proxy, user corp, password secret; DIR/server.log
#   microsocks  SOCKS5 proxy, the same user; DIR/server.log
#   nginx       DIR/nginx.conf, which says its ports itself; %DIR% in it is DIR; DIR/access.log
# Run by root, Squid becomes the user proxy, who must be able to get to DIR.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
which=${1:?usage: start.sh SERVER PORT DIR}; port=${2:?PORT}; dir=${3:?DIR}
die() { echo "start.sh: $*" >&2; exit 1; }
home=$("$here/fetch.sh"); root=$home/root
mkdir -p "$dir"; dir=$(cd "$dir" && pwd)
libraries=$(dirname "$(find "$root/usr/lib" -name 'libecap.so.3' | head -n 1)")

. "$here/../server.sh"

case $which in
squid)
  command -v openssl >/dev/null || die "openssl is needed and is not installed (or not in PATH)"
  printf '%s:%s\n' 'corp user' "$(openssl passwd -apr1 'p@ss:w/rd%')" >"$dir/passwords"
  printf '%s\n' "${HOSTS:-127.0.0.1 localhost}" >"$dir/hosts"
  cat >"$dir/squid.conf" <<P
http_port 127.0.0.1:$port
pid_filename none
cache_log $dir/cache.log
logformat peer %>Hs %rm %ru %[un
access_log stdio:$dir/access.log peer
cache deny all
cache_mem 8 MB
coredump_dir $dir
hosts_file $dir/hosts
mime_table $root/usr/share/squid/mime.conf
icon_directory $root/usr/share/squid/icons
error_directory $root/usr/share/squid-langpack/en
err_page_stylesheet $root/etc/squid/errorpage.css
pinger_enable off
unlinkd_program $root/usr/lib/squid/unlinkd
logfile_daemon $root/usr/lib/squid/log_file_daemon
diskd_program $root/usr/lib/squid/diskd
shutdown_lifetime 0 seconds
auth_param basic program $root/usr/lib/squid/basic_ncsa_auth $dir/passwords
auth_param basic children 1 startup=1 idle=1
auth_param basic realm corporate
acl known proxy_auth REQUIRED
http_access allow known
http_access deny all
P
  [ -e "$root/usr/share/squid-langpack/en/ERR_ACCESS_DENIED" ] || die "no templates of Squid's error pages in $root"
  if [ "$(id -u)" = 0 ]; then chown -R proxy "$dir"; fi
  LD_LIBRARY_PATH=$libraries "$root/usr/sbin/squid" -N -n "peer$port" -f "$dir/squid.conf" >"$dir/server.log" 2>&1 &
  ;;
tinyproxy)
  printf '%s\n' "Port $port" "Listen 127.0.0.1" "Timeout 120" "MaxClients 50" "LogLevel Connect" "BasicAuth corp secret" >"$dir/tinyproxy.conf"
  "$root/usr/bin/tinyproxy" -d -c "$dir/tinyproxy.conf" >"$dir/server.log" 2>&1 &
  ;;
microsocks)
  "$root/usr/bin/microsocks" -i 127.0.0.1 -p "$port" -u corp -P secret >"$dir/server.log" 2>&1 &
  ;;
nginx)
  sed -i "s:%DIR%:$dir:g" "$dir/nginx.conf"
  "$root/usr/sbin/nginx" -p "$dir" -e "$dir/error.log" -c "$dir/nginx.conf" -g "daemon off;$([ "$(id -u)" != 0 ] || echo ' user root;')" >"$dir/server.log" 2>&1 &
  ;;
*) die "expected squid, tinyproxy, microsocks or nginx, found $which" ;;
esac
open() { : <"/dev/tcp/127.0.0.1/$port"; }
serve $! "$which on $port" 200 open
