#!/usr/bin/env bash
# record.sh [cap|olingo]: records the answers of this folder anew from the real services that testdata/peers starts, on ports 24004
# to 24006. README.md lists the files.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd); peers=$here/../../peers dir=$(mktemp -d)
servers=()
trap 'for pid in "${servers[@]}"; do kill "$pid" || true; wait "$pid" || true; done; rm -rf "$dir"' EXIT
accept='Accept: application/json;odata.metadata=minimal;IEEE754Compatible=true'

# start NAME COMMAND...: starts a service and waits until it is ready.
start() {
  local name=$1; shift
  env UNTIL_EOF= "$@" >"$dir/$name.out" & servers+=($!)
  until grep -q READY "$dir/$name.out"; do kill -0 "${servers[-1]}"; sleep 0.2; done
}

# record FILE ADDRESS [OPTIONS OF curl]: stores the body of an answer.
record() {
  local file=$1 address=$2; shift 2
  curl -sS -g -H "$accept" "$@" -o "$here/$file" "$address"
}

cap() {
  rm -f "$here"/cap_*
  start cap PAGE=3 "$peers/cap/start.sh" 24004 20 "$dir/cap"
  start plain PAGE=3 IEEE754=0 "$peers/cap/start.sh" 24005 20 "$dir/plain"
  local root=http://127.0.0.1:24004/odata/v4/peer4 plain=http://127.0.0.1:24005/odata/v4/peer4
  record cap_metadata.xml "$root/\$metadata" -H 'Accept:'
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
  record cap_error-set.json "$root/Nope"
  record cap_error-filter.json "$root/Products?\$filter=nope%20eq%201"
  record cap_error-missing.json "$root/Products(4711)"
}

for product in ${*:-cap olingo}; do $product; done
