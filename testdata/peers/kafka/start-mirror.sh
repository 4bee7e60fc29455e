#!/usr/bin/env bash
# start-mirror.sh FROM TO [DIR]: MirrorMaker 2 in dedicated mode, from the brokers FROM to the brokers TO (host:port,…), topics keep their names
# Foreground; prints READY; ends on SIGTERM. Logs, properties, pids in DIR (default .peers/run/mirror-peer).
# TOPICS and GROUPS_COPIED (default all): what is copied; offsets of groups are synchronized every second.   HEAP (default 320m), JVM_OPTS.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
from=${1:?usage: start-mirror.sh FROM TO [DIR]}; to=${2:?usage: start-mirror.sh FROM TO [DIR]}
dir=$(absolute "${3:-$peers/run/mirror-peer}")
until_eof
fetch_jars
cat >"$dir/mirror.properties" <<P
clusters=from,to
from.bootstrap.servers=$from
to.bootstrap.servers=$to
from->to.enabled=true
to->from.enabled=false
topics=${TOPICS:-.*}
groups=${GROUPS_COPIED:-.*}
groups.exclude=console-consumer-.*,__.*
replication.policy.class=org.apache.kafka.connect.mirror.IdentityReplicationPolicy
emit.heartbeats.enabled=false
sync.topic.configs.enabled=false
sync.topic.acls.enabled=false
sync.group.offsets.enabled=true
sync.group.offsets.interval.seconds=1
emit.checkpoints.interval.seconds=1
refresh.topics.interval.seconds=1
refresh.groups.interval.seconds=1
offset.flush.interval.ms=1000
replication.factor=1
checkpoints.topic.replication.factor=1
offset-syncs.topic.replication.factor=1
offset.storage.replication.factor=1
status.storage.replication.factor=1
config.storage.replication.factor=1
P
: >"$dir/mirror.log"
jvm "$dir/mirror.log" "$dir/mirror.out" "${HEAP:-320m}" org.apache.kafka.connect.mirror.MirrorMaker "$dir/mirror.properties"
wait_for 600 "$jvm_pid" grep -q 'Kafka MirrorMaker started' "$dir/mirror.log" || { tail -n 5 "$dir/mirror.log" "$dir/mirror.out" >&2; stop_all; die "no mirror"; }
stay
