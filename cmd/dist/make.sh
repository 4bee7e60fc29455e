#!/usr/bin/env bash
# make.sh [TARGETS]: builds a release of the commit in dist/: for each platform an archive with the program, its licences, a bill of
# materials and the examples; deb and rpm for Linux; and checksums of all files. It builds twice, from two clones in two folders, and both
# results must be identical. TARGETS are platforms by Go's names, separated by commas, such as linux/amd64; linux/amd64/pkcs11 supports
# tokens and needs a machine of that platform; "own" is this machine's. ANEW=1 compiles everything again the second time.
#   make.sh version: prints the package version of the commit in this folder
set -euo pipefail
export TZ=UTC LC_ALL=C

described() { git describe --tags --always --match 'v[0-9]*' --match '[0-9]*'; }

# Package versions sort like commits: after a release come the commits since, before it its candidates; without a release they are numbered.
version() {
  local text; text=$(described)
  if [[ $text =~ ^v?[0-9]+\.[0-9]+\.[0-9]+ ]]; then
    sed -E 's/^v//; s/-([0-9]+)-g([0-9a-f]+)$/+\1.g\2/; s/-((rc|beta|alpha)[.0-9]*)/~\1/' <<<"$text"
  elif [ "$(git rev-parse --is-shallow-repository)" = false ]; then
    echo "0.0.0+$(git rev-list --count HEAD).g$text"
  else
    echo "dist: versions of packages count commits, and this clone lacks some: git fetch --unshallow" >&2; exit 1
  fi
}
[ "${1:-}" = version ] && { version; exit; }

cd "$(dirname "$0")/../.."
own=$(go env GOOS)/$(go env GOARCH)
all="linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64"
[[ $own != linux/* ]] || all+=" $own/pkcs11"
targets=$all
if [ -n "${1:-}" ]; then
  targets=
  for one in ${1//,/ }; do
    [ "$one" != own ] || one=$own
    [[ " $all " = *" $one "* ]] || { echo "dist: expected some of: $all, or own; found $one" >&2; exit 1; }
    targets+=" $one"
    [[ $1 != own || $own != linux/* ]] || targets+=" $own/pkcs11"
  done
fi
changes=$(git status --porcelain)
[ -z "$changes" ] || { printf 'dist: a release is made of what is committed; commit or put away:\n%s\n' "$changes" >&2; exit 1; }
work=$(mktemp -d); trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
tools=$work/tools
mkdir "$tools"
CGO_ENABLED=0 go build -modfile=cmd/dist/tools.mod -o "$tools" tool

# third_party GOOS GOARCH TAGS: the licences of the packages in the program and its plugins, from their folders up to their modules.
third_party() {
  local format='{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}} {{$.Dir}}{{end}}{{end}}' guest
  {
    GOOS=$1 GOARCH=$2 go list -deps -tags "$3" -f "$format" ./cmd/culvert
    for guest in $(sed -n 's/^GUESTS *:= *//p' Makefile); do GOOS=wasip1 GOARCH=wasm go list -deps -f "$format" "./plugins/$guest"; done
  } | sort -u >"$work/packages"
  echo "std $(go env GOVERSION) $(go env GOROOT) $(go env GOROOT)" >>"$work/packages"
  (
    shopt -s nullglob nocaseglob
    while read -r module version root dir; do
      while
        for file in "$dir"/{licence,license,copying,notice,patents,copyright}*; do
          [[ ! -f $file || ${file,,} = *.go ]] || echo "$module $version ${file#"$root"/} $file"
        done
        [ "$dir" != "$root" ]
      do dir=${dir%/*}; done
    done <"$work/packages" | sort -u >"$work/licences"
  )
  local missing; missing=$(comm -23 <(cut -d' ' -f1 "$work/packages" | sort -u) <(cut -d' ' -f1 "$work/licences" | sort -u))
  [ -z "$missing" ] || { printf 'dist: expected the licence of each module, found none of:\n%s\n' "$missing" >&2; exit 1; }
  printf 'Culvert is under the Apache License 2.0, see LICENSE. The program holds what others have written:\n\n'
  cut -d' ' -f1,2 "$work/licences" | uniq
  local module version name file line; line=$(printf -- '-%.0s' {1..80})
  while read -r module version name file; do
    printf '\n%s\n%s %s, %s\n\n' "$line" "$module" "$version" "$name"
    cat "$file"
  done <"$work/licences"
  for file in internal/console/assets/vendor/*.LICENSE.txt; do # files of the console
    name=${file##*/}
    printf '\n%s\n%s, in the console\n\n' "$line" "${name%.LICENSE.txt}"
    cat "$file"
  done
}

# target NAME: builds all files for a platform, from the clone in this folder into ../dist.
target() {
  local goos goarch tags stem extra format=tar.gz program=culvert
  IFS=/ read -r goos goarch tags <<<"$1"
  stem=culvert_${described}_${1//\//_}
  [ "$goos" != windows ] || { format=zip; program=culvert.exe; }
  extra=$work/extra; rm -rf "$extra"; mkdir "$extra"
  GOOS=$goos GOARCH=$goarch make --silent program PROGRAM="$extra/$program" VERSION="$described" TAGS="$tags"
  CGO_ENABLED=$([ -n "$tags" ] && echo 1 || echo 0) third_party "$goos" "$goarch" "$tags" >"$extra/THIRD-PARTY.txt"
  GOOS=$goos GOARCH=$goarch CGO_ENABLED=$([ -n "$tags" ] && echo 1 || echo 0) GOFLAGS="${GOFLAGS:-}${tags:+ -tags=$tags}" \
    "$tools/cyclonedx-gomod" app -json -noserial -std -licenses -assert-licenses -main cmd/culvert -output "$extra/made.json" . 2>/dev/null
  sed "s/\"timestamp\": \"[^\"]*\"/\"timestamp\": \"$(git log -1 --format=%cd --date=format-local:%FT%TZ)\"/" "$extra/made.json" \
    >"$extra/sbom.cdx.json"
  cp "$extra/sbom.cdx.json" "../dist/$stem.cdx.json"
  git -c tar.umask=0022 archive --format=$format --prefix="$stem/" --add-file="$extra/$program" --add-file="$extra/THIRD-PARTY.txt" \
    --add-file="$extra/sbom.cdx.json" -o "../dist/$stem.$format" HEAD README.md RATIONALE.md DESIGN.md BENCHMARKS.md LICENSE examples \
    cmd/culvert/reference cmd/culvert/guides plugins/odata/SERVICES.md ':!*_test.go'
  [ "$goos$tags" = linux ] || return 0
  git -c tar.umask=0022 archive HEAD examples ':!*_test.go' | tar -x -C "$extra"
  local package
  for package in deb rpm; do
    VERSION=$version ARCH=$goarch PROGRAM=$extra/$program THIRD_PARTY=$extra/THIRD-PARTY.txt EXAMPLES=$extra/examples \
      SOURCE_DATE_EPOCH=$time "$tools/nfpm" package --config cmd/dist/nfpm.yaml --packager $package \
      --target "../dist/culvert_${version}_$goarch.$package" >/dev/null
  done
}

for build in first second; do
  mkdir -p "$work/$build/dist"
  git clone --quiet . "$work/$build/culvert"
  (
    cd "$work/$build/culvert"
    described=$(described) version=$(version) time=$(git log -1 --format=%ct)
    [ -z "${ANEW:-}" ] || [ $build = first ] || export GOCACHE=$work/cache
    for one in $targets; do
      echo "$build build: $one"
      target "$one"
    done
    cd ../dist && sha256sum -- * >"$work/$build/SHA256SUMS"
  )
done
diff "$work/first/SHA256SUMS" "$work/second/SHA256SUMS" >&2 || { echo "dist: two builds of the same commit differ" >&2; exit 1; }
rm -rf dist
cp -r "$work/first/dist" dist
cp "$work/first/SHA256SUMS" dist/
echo "dist: $(wc -l <dist/SHA256SUMS) files, made twice with the same bytes"
