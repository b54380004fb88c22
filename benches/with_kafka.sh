#!/usr/bin/env bash
# Runs a command beside a fresh Apache Kafka on this machine; the command finds its address in $BROKERS. The jars are those
# that the tests have fetched (`cargo test --test harness`). The broker and its data, below $TMPDIR, are gone when the command ends.
#
#     benches/with_kafka.sh bash -c 'skysluice-loadgen produce --brokers $BROKERS --topic night --partitions 4 --count 40000'
set -euo pipefail
[ $# -gt 0 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 2; }
target=${CARGO_TARGET_DIR:-$(cd "$(dirname "$0")/.." && pwd)/target}
libs=$(find "$target" -maxdepth 2 -type d -path '*kafka-*/libs' | head -n 1)
[ -n "$libs" ] || { echo "no Kafka below $target: run 'cargo test --test harness' first" >&2; exit 1; }

work=$(mktemp -d "${TMPDIR:-/tmp}/skysluice-kafka.XXXXXX")
broker=
trap '[ -z "$broker" ] || kill -9 "$broker" 2>/dev/null; rm -rf "$work"' EXIT
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
port=$(free_port) controller=$(free_port)
cat > "$work/server.properties" <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$work/logs
log.retention.ms=-1
log.retention.check.interval.ms=20000
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
message.max.bytes=10485760
auto.create.topics.enable=false
END
java -cp "$libs/*" kafka.tools.StorageTool format -t 4L6g3nShT-eMCtK--X86sw -c "$work/server.properties" > "$work/format.log" 2>&1
java -Xmx1g -cp "$libs/*" kafka.Kafka "$work/server.properties" > "$work/server.log" 2>&1 &
broker=$!
for _ in $(seq 500); do
    if grep -q 'Kafka Server started' "$work/server.log"; then break; fi
    kill -0 "$broker" 2>/dev/null || { tail "$work/server.log" >&2; exit 1; }
    sleep 0.2
done
BROKERS=127.0.0.1:$port "$@"
