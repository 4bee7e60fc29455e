#!/usr/bin/env bash
# record.sh [cap|olingo]: records the answers of this folder anew from the real services that testdata/peers starts, on ports 24004
# to 24006. README.md lists the files.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd); peers=$here/../../peers dir=$(mktemp -d)
servers=()
trap 'for pid in "${servers[@]}"; do kill "$pid" || true; wait "$pid" || true; done; rm -rf "$dir"' EXIT

# start NAME COMMAND...: starts a service and waits until it is ready.
start() {
  local name=$1; shift
  env UNTIL_EOF= "$@" >"$dir/$name.out" & servers+=($!)
  until grep -q READY "$dir/$name.out"; do kill -0 "${servers[-1]}"; sleep 0.2; done
}

# record FILE ADDRESS [OPTIONS OF curl]: stores the body of an answer. accept replaces the media type.
record() {
  local file=$1 address=$2; shift 2
  curl -sS -g -H "Accept: ${accept:-application/json;odata.metadata=minimal;IEEE754Compatible=true}" "$@" -o "$here/$file" "$address"
}

# batch FILE ADDRESS SET ID ID ID ID: stores the answer to a multipart batch of two changesets, each of which inserts two rows. Their
# boundaries differ: CAP makes one of changesets with the same boundary.
batch() {
  local file=$1 address=$2 set=$3 n=0 changeset; shift 3
  for changeset in c d; do
    printf -- '--b\r\nContent-Type: multipart/mixed; boundary=%s\r\n\r\n' $changeset
    for id in "${@:1:2}"; do
      printf -- '--%s\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: %s\r\n\r\n' $changeset $((++n))
      printf 'POST %s HTTP/1.1\r\nContent-Type: application/json\r\nPrefer: return=minimal\r\n\r\n{"ID":%s}\r\n' "$set" "$id"
    done
    shift 2
    printf -- '--%s--\r\n' $changeset
  done >"$dir/batch"
  printf -- '--b--\r\n' >>"$dir/batch"
  send "$file" "$address" 'multipart/mixed; boundary=b'
}

# send FILE ADDRESS TYPE: sends the batch that was written.
send() {
  curl -sS -o "$here/$1" -H "Content-Type: $3" -H 'Prefer: odata.continue-on-error' --data-binary "@$dir/batch" "$2/\$batch"
}

# json_batch FILE ADDRESS SET ID ID ID ID: the same as JSON, each changeset an atomicity group.
json_batch() {
  local file=$1 address=$2 set=$3 n=0 separator='' id; shift 3
  printf '{"requests":[' >"$dir/batch"
  for id in "$@"; do
    printf '%s{"id":"%s","atomicityGroup":"g%s","method":"POST","url":"%s",' "$separator" $((++n)) $(((n + 1) / 2)) "$set"
    printf '"headers":{"content-type":"application/json","prefer":"return=minimal"},"body":{"ID":%s}}' "$id"
    separator=,
  done >>"$dir/batch"
  printf ']}' >>"$dir/batch"
  send "$file" "$address" application/json
}

cap() {
  rm -f "$here"/cap_*
  start cap PAGE=3 "$peers/cap/start.sh" 24004 20 "$dir/cap"
  start plain PAGE=3 IEEE754=0 "$peers/cap/start.sh" 24005 20 "$dir/plain"
  local root=http://127.0.0.1:24004/odata/v4/peer4 plain=http://127.0.0.1:24005/odata/v4/peer4
  accept=application/xml record cap_metadata.xml "$root/\$metadata"
  record cap_Products-page.json "$root/Products"
  record cap_Products-count.json "$root/Products?\$count=true&\$skiptoken=18&\$orderby=ID&\$select=ID,name,sold"
  record cap_Products-entity.json "$root/Products(7)"
  record cap_Orders-etag.json "$root/Orders?\$top=2"
  record cap_Orders-expand.json "$root/Orders?\$top=2&\$expand=Items(\$select=pos,product;\$top=2;\$expand=Schedule)"
  record cap_Requests-drafts.json "$root/Requests?\$filter=IsActiveEntity%20eq%20false"
  record cap_Requests-active.json "$root/Requests?\$filter=IsActiveEntity%20eq%20true&\$top=2&\$expand=Lines"
  record cap_Requests-draft-created.json "$root/Requests" -H 'Content-Type: application/json' -d '{"title":"New"}'
  record cap_Values-ieee754.json "$root/Values"
  record cap_Values-numbers.json "$plain/Values"
  record cap_AllTypes-ieee754.json "$root/AllTypes"
  record cap_AllTypes-numbers.json "$plain/AllTypes"
  record cap_Settings-singleton.json "$root/Settings"
  record cap_Products-apply.json "$root/Products?\$apply=groupby((stock))&\$top=2"
  json_batch cap_batch.json "$root" Bags 101 102 103 104
  json_batch cap_batch-failed.json "$root" Bags 111 112 113 1
  batch cap_batch.txt "$root" Bags 121 122 123 124
  batch cap_batch-failed.txt "$root" Bags 131 132 133 1
  record cap_error-set.json "$root/Nope"
  record cap_error-filter.json "$root/Products?\$filter=nope%20eq%201"
  record cap_error-missing.json "$root/Products(4711)"
}

olingo() {
  rm -f "$here"/olingo_*
  start olingo PAGE=3 "$peers/olingo4/start.sh" 24006 20 "$dir/olingo"
  local root=http://127.0.0.1:24006/odata4.svc json='Content-Type: application/json;IEEE754Compatible=true'
  accept=application/xml record olingo_metadata.xml "$root/\$metadata"
  record olingo_Products-page.json "$root/Products"
  record olingo_Products-page-4.01.json "$root/Products?\$select=ID,Name,Big&\$count=true" -H 'OData-MaxVersion: 4.01'
  accept=application/json record olingo_Products-numbers.json "$root/Products?\$top=2&\$skip=8"
  accept='application/json;odata.metadata=full;IEEE754Compatible=true' record olingo_Products-full.json "$root/Products?\$top=1"
  record olingo_Products-count.json "$root/Products?\$count=true&\$skip=17&\$select=ID,Name,Big"
  record olingo_Products-expand.json \
    "$root/Products?\$select=ID,Name&\$expand=Items(\$select=Pos,Text;\$orderby=Pos%20desc;\$expand=Product(\$select=Name))"
  record olingo_Products-entity.json "$root/Products(7)"
  record olingo_Products-nulls.json "$root/Products(10)"
  record olingo_Items-contained.json "$root/Products(2)/Items"
  record olingo_Products-tracked.json "$root/Products?\$select=ID,Name&\$skiptoken=17-0" -H 'Prefer: odata.track-changes'
  curl -sS -o "$dir/change" 'http://127.0.0.1:24006/change?update=1&delete=3&insert=21&link=4-1&unlink=5-2'
  local version
  for version in 4.0 4.01; do
    record olingo_Products-delta-$version.json "$root/Products?\$select=ID,Name,Big&\$filter=ID%20lt%2021&\$deltatoken=0" -H "OData-MaxVersion: $version"
    record olingo_Products-delta-links-$version.json "$root/Products?\$select=ID,Name&\$expand=Items&\$skiptoken=d3" -H "OData-MaxVersion: $version"
    record olingo_Products-delta-empty-$version.json "$root/Products?\$deltatoken=5" -H "OData-MaxVersion: $version"
  done
  batch olingo_batch.txt "$root" Products 121 122 123 124
  batch olingo_batch-failed.txt "$root" Products 131 132 133 1
  record olingo_error-set.json "$root/Nope"
  record olingo_error-token.json "$root/Products?\$deltatoken=99"
  record olingo_error-number.json "$root/Products" -H 'Content-Type: application/json' -d '{"ID":40,"Big":"1"}'
  record olingo_Products-created.json "$root/Products" -H "$json" -d '{"ID":40,"Name":"New","Big":"9007199254740995","Color":"Blue"}'
}

for product in ${*:-cap olingo}; do $product; done
