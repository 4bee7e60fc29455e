#!/usr/bin/env bash
# image.sh [DIR]: builds the container image of the commit for amd64 and arm64 as an OCI layout in DIR (default dist/image), without
# Docker and without a base image. The same commit gives the same bytes. crane assembles the image in a temporary registry on this
# machine. Unlike the image of Dockerfile, this one has no compiled plugins, because compiled code depends on the processor; the first
# start compiles them into the volume.
#   skopeo copy oci:dist/image docker://REGISTRY/culvert:TAG, or crane push dist/image REGISTRY/culvert:TAG --index
set -euo pipefail
export TZ=UTC LC_ALL=C
cd "$(dirname "$0")/../.."
to=${1:-dist/image}
if [ -e "$to" ] && [ ! -f "$to/oci-layout" ]; then
  echo "image.sh: $to: expected an image of an earlier build or nothing, found something else" >&2
  exit 1
fi
work=$(mktemp -d)
trap 'kill "${registry:-}" 2>/dev/null || :; chmod -R u+w "$work"; rm -rf "$work"' EXIT
version=$(git describe --tags --always --dirty) time=$(git log -1 --format=%ct)
created=$(date -d "@$time" +%FT%TZ)
crane=$work/crane
CGO_ENABLED=0 go build -modfile=cmd/dist/tools.mod -o "$crane" github.com/google/go-containerregistry/cmd/crane

# certificates: Mozilla's roots at the version in tools.mod as PEM, without those that are valid only for certificates before a date.
certificates() {
  local folder start length; folder=$(go mod download -modfile=cmd/dist/tools.mod -json golang.org/x/crypto/x509roots/fallback |
    sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')/bundle
  sed -n '/^\t{/,/^\t},/{H;/^\t},/{x;s/\n//g;/distrustAfter/!s/.*StartOff: *\([0-9]*\),.*certLength: *\([0-9]*\),.*/\1 \2/p;s/.*//;x}}' \
    "$folder/bundle.go" | while read -r start length; do
    echo "-----BEGIN CERTIFICATE-----"
    head -c "$((start + length))" "$folder/bundle.der" | tail -c "$length" | base64 -w 64
    echo "-----END CERTIFICATE-----"
  done
}

: >"$work/registry" # before the loop reads it
"$crane" registry serve --address 127.0.0.1:0 2>"$work/registry" &
registry=$!
for _ in {1..100}; do
  port=$(sed -n 's/.*serving on port \([0-9]*\)$/\1/p' "$work/registry")
  [ -z "$port" ] || break
  sleep 0.1
done
name=127.0.0.1:${port:?the registry did not start}/culvert

root=$work/root
mkdir -p "$root"/{usr/bin,usr/share/doc/culvert,etc/culvert,etc/ssl/certs,var/lib/culvert,tmp}
certificates >"$root/etc/ssl/certs/ca-certificates.crt"
echo 'nonroot:x:65532:65532::/var/lib/culvert:/sbin/nologin' >"$root/etc/passwd"
echo 'nonroot:x:65532:' >"$root/etc/group"
cp LICENSE "$root/usr/share/doc/culvert/"
for arch in amd64 arm64; do
  GOOS=linux GOARCH=$arch make --silent program PROGRAM="$root/usr/bin/culvert" VERSION="$version" TAGS= >&2
  chmod -R u=rwX,go=rX "$root"
  chmod 1777 "$root/tmp"
  pack() { tar -C "$root" --format=ustar --sort=name --mtime="@$time" --numeric-owner --no-recursion "$@"; }
  (cd "$root" && find . -mindepth 1 ! -path ./var/lib/culvert | sort) >"$work/names"
  pack --owner=0 --group=0 -T "$work/names" -cf "$work/layer.tar"
  pack --owner=65532 --group=65532 -rf "$work/layer.tar" ./var/lib/culvert
  "$crane" append --oci-empty-base --platform "linux/$arch" -f "$work/layer.tar" -t "$name:$arch" >/dev/null 2>&1
  "$crane" edit config "$name:$arch" -t "$name:$arch" >/dev/null <<EOF
{"created":"$created","architecture":"$arch","os":"linux","config":{"User":"65532:65532","ExposedPorts":{"8083/tcp":{}},
"Env":["PATH=/usr/bin","SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt","XDG_CACHE_HOME=/var/lib"],
"Entrypoint":["/usr/bin/culvert"],"Cmd":["run","--config","/etc/culvert","--data","/var/lib/culvert"],"Volumes":{"/var/lib/culvert":{}},
"Labels":{"org.opencontainers.image.version":"$version","org.opencontainers.image.licenses":"Apache-2.0"}},
"rootfs":{"type":"layers","diff_ids":["sha256:$(sha256sum "$work/layer.tar" | cut -d' ' -f1)"]},
"history":[{"created":"$created","created_by":"cmd/dist/image.sh"}]}
EOF
done
"$crane" index append -m "$name:amd64" -m "$name:arm64" -t "$name:all" >/dev/null 2>&1
rm -rf "$to"
mkdir -p "$(dirname "$to")"
"$crane" pull --format oci "$name:all" "$to" >/dev/null
echo "image: $to, $("$crane" digest "$name:all"), version $version"
