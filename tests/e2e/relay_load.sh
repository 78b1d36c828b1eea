#!/usr/bin/env bash
# What a relay bears: many idle clients, packets at full speed, and a greedy client beside a polite one.
# tests/bench/relay.sh measures the same at length.
#
# Namespace with nothing but loopback:   bench_relay ==> adit relay :3340
#
# Alone: it measures.
. "$(dirname "${BASH_SOURCE[0]}")/../lab/lab.sh"

BENCH_RELAY=${BENCH_RELAY:-$lab_root/build/tests/bench/bench_relay}
readonly clients=2000 bytes_max=8192

lab_network
lab_exec hub ip link set lo up
lab_make_key relay
cat >"$LAB/relay.ini" <<INI
[server]
listen = 127.0.0.1:3340
key = $LAB/relay.key
open = yes
clients_max = 4000
clients_per_address_max = 3000
INI
sed -i '1i [node]\nlog = warn\n' "$LAB/relay.ini"
lab_spawn relay hub "$ADIT" relay -c "$LAB/relay.ini"
lab_wait_until 10 lab_listens relay hub 3340

measure() {
    lab_exec hub timeout 60 "$BENCH_RELAY" "$1" 3340 "${lab_pid[relay]}" "${@:2}"
}

value() {
    sed -n "s/.*\b$1=\([0-9]*\).*/\1/p" <<<"$2"
}

line=$(measure idle $clients)
lab_say "$line"
[ "$(value bytes_per_client "$line")" -lt $bytes_max ] || lab_fail "an idle client takes too much"

for size in 100 1200 8192; do
    line=$(measure forward 500 $size 8)
    lab_say "$line"
    [ "$(value lost "$line")" -eq 0 ] || lab_fail "packets were lost that had room in the queues"
    [ "$(value packets "$line")" -gt 1000 ] || lab_fail "hardly anything arrives"
done

# On two cores the greedy one, the relay and the polite one already wait for each other's processor:
# half a millisecond of that is not the relay's doing.
alone=$(value median_us "$(measure round 1000)")
beside=$(value median_us "$(measure greedy 1000)")
lab_say "round trip $alone us, beside a greedy client $beside us"
[ "$beside" -le $((2 * alone + 500)) ] || lab_fail "a greedy client keeps the others waiting"
lab_stop relay
