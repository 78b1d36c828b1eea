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

# The relay has a core to itself, and the greedy ones give way to the polite ones on another, so that
# nobody waits for a processor. That no more than one turn of a greedy one stands before a polite one's
# packet is proven in tests/unit/loop/test_relay_uv.c; here is what comes of it. A machine with other
# things to do may take three tries.
cpus=(0 0)
if [ "$(nproc)" -gt 1 ]; then
    mapfile -t cpus < <(taskset -cp $$ | sed 's/.*: //' | tr , '\n' |
        awk -F- '{ for (i = $1; i <= ($2 == "" ? $1 : $2); i++) print i }')
    taskset -cp "${cpus[0]}" "${lab_pid[relay]}" >/dev/null
fi
polite() {
    value median_us "$(taskset -c "${cpus[1]}" nsenter --net=/run/netns/hub -- \
        timeout 60 "$BENCH_RELAY" "$1" 3340 "${lab_pid[relay]}" 500)"
}
for try in 1 2 3; do
    alone=$(polite round)
    beside=$(polite greedy)
    lab_say "round trip $alone us, beside a greedy client $beside us (try $try)"
    [ "$beside" -gt $((2 * alone + 50)) ] || break
done
[ "$beside" -le $((2 * alone + 50)) ] || lab_fail "a greedy client keeps the others waiting"
lab_stop relay
