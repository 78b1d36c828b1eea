#!/usr/bin/env bash
# Two relays of a cluster on loopback: what one forwards to clients of the other through NATS, beside
# what it forwards to its own; and what a key that is there costs the NATS server.
#
#     tests/bench/cluster.sh [--quick]
#
# Environment: ADIT, BENCH_RELAY (programs), ROUNDS (3), CLIENTS (10000), SIZES.
#
# Namespace with nothing but loopback:   bench_relay ==> adit relay :3340 == nats-server == adit relay :3341
. "$(dirname "${BASH_SOURCE[0]}")/../lab/lab.sh"

BENCH_RELAY=${BENCH_RELAY:-$lab_root/build/tests/bench/bench_relay}
rounds=${ROUNDS:-3} ms=1500 clients=${CLIENTS:-10000} sizes=${SIZES:-100 1200 8192}
[ "${1:-}" != --quick ] || rounds=1 ms=300 clients=1000
[ -x "$BENCH_RELAY" ] || lab_fail "not built: $BENCH_RELAY (cmake --build --preset release --target bench_relay)"
command -v nats-server >/dev/null || lab_skip "there is no nats-server here"

value() {
    sed -n "s/.*\b$1=\([0-9]*\).*/\1/p" <<<"$2"
}

median() {
    sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

start_relay() {
    cat >"$LAB/$1.ini" <<INI
[node]
log = warn
[server]
listen = 127.0.0.1:$2
key = $LAB/relay.key
open = yes
clients_max = $((clients + 1000))
clients_per_address_max = $((clients + 1000))
cluster = nats://127.0.0.1:4222
INI
    lab_spawn "$1" hub "$ADIT" relay -c "$LAB/$1.ini"
    lab_wait_until 10 lab_listens "$1" hub "$2"
}

sees_the_other() {
    lab_exec hub curl -sS --max-time 5 http://127.0.0.1:3340/metrics | grep -qx 'adit_relay_cluster_relays 1'
}

# measure MODE ARGUMENT...: from a client of one to a client of the other, or of the same.
measure() {
    local ports=$1 mode=$2
    shift 2
    lab_exec hub "$BENCH_RELAY" "$mode" "$ports" "${lab_pid[one]}" "$@"
}

lab_network
lab_exec hub ip link set lo up
lab_make_key relay
lab_spawn nats hub nats-server -a 127.0.0.1 -p 4222
lab_wait_until 10 lab_listens nats hub 4222
start_relay one 3340
start_relay two 3341
lab_wait_until 20 sees_the_other

printf '%-8s %6s %12s %8s %16s\n' way bytes packets/s lost/1000 "per CPU s of one"
for size in $sizes; do
    for way in alone:3340 cluster:3340,3341; do
        name=${way%%:*}
        for ((round = 0; round < rounds; round++)); do
            line=$(measure "${way#*:}" forward "$ms" "$size" 8)
            value per_s "$line" >>"$LAB/$name.$size.wall"
            value per_cpu_s "$line" >>"$LAB/$name.$size.cpu"
            echo $(($(value lost "$line") * 1000 / ($(value packets "$line") + 1))) >>"$LAB/$name.$size.lost"
        done
        printf '%-8s %6d %12d %8d %16d\n' "$name" "$size" "$(median <"$LAB/$name.$size.wall")" \
            "$(median <"$LAB/$name.$size.lost")" "$(median <"$LAB/$name.$size.cpu")"
    done
done
for way in alone:3340 cluster:3340,3341; do
    printf '%-8s round trip of two clients, us: %s\n' "${way%%:*}" \
        "$(value median_us "$(measure "${way#*:}" round "$ms")")"
done
before=$(lab_rss_kib nats)
printf 'idle     %s\n' "$(measure 3340 idle "$clients")"
printf 'idle     nats-server grew by %d bytes for each of them\n' $((($(lab_rss_kib nats) - before) * 1024 / clients))
