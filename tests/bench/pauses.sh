#!/usr/bin/env bash
# How long peers on two relays of a cluster hear nothing of each other while a relay or a NATS server
# is killed: the network of lab/cluster.bash, each of the six programs killed in turn during a
# transfer. The file must arrive unchanged, and numbers sent every 5 ms beside it each once and in
# order; the longest time without one is the pause.
#
#     tests/bench/pauses.sh [KILLS]        (24)
. "$(dirname "${BASH_SOURCE[0]}")/../lab/lab.sh"
. "$lab_root/tests/lab/cluster.bash"

kills=${1:-24}
read -ra victims <<<"${VICTIMS:-nats-home home nats-laptop laptop}"

watch() {
    lab_spawn watch laptop python3 "$lab_root/tests/lab/pulse.py" watch \
        127.0.0.1:1080 home.peer 8090 "$LAB/pulse"
    lab_wait_until 20 test -e "$LAB/pulse"
}

watched() {
    rm "$LAB/pulse"
    lab_wait_until 60 lab_is_dead watch
    lab_join watch || lab_fail "$1: the numbers: $(cat "$LAB/watch.log")"
    pause=$(tail -n 1 "$LAB/watch.log")
}

# By how many others the relays that are alive are seen, once one is away.
again() {
    case $1 in
    nats-*) cluster_start_nats "${1#nats-}" ;;
    *) cluster_start_relay "$1" ;;
    esac
    cluster_see_each_other 2
}

# program NODE, nats-NODE: the node's relay, or that relay's NATS server.
program() {
    local relay
    relay=$(cluster_on "${1#nats-}")
    case $1 in
    nats-*) echo "nats-$(cluster_nats_of "$relay")" ;;
    *) echo "$relay" ;;
    esac
}

cluster_network
lab_big_file $((32 << 20))
lab_spawn pulse home python3 "$lab_root/tests/lab/pulse.py" serve 0.0.0.0:8090
cluster_start
for ((i = 0; i < kills; i++)); do
    victim=$(program "${victims[i % ${#victims[@]}]}")
    where="home on $(cluster_on home), laptop on $(cluster_on laptop)"
    watch
    cluster_transfer 2
    lab_say "kill $(date +%T.%N)"
    lab_kill "$victim"
    cluster_transferred "$where, kill -9 $victim"
    watched "$victim"
    echo "$pause" >>"$LAB/pauses.${victim%%-*}"
    echo "$pause" >>"$LAB/pauses"
    lab_say "pause $pause ms"
    again "$victim"
done
sort -n "$LAB/pauses" | awk '
    { v[NR] = $1 }
    END { printf "%d kills, pause in ms: median %d, 90 %% %d, longest %d\n",
        NR, v[int((NR + 1) / 2)], v[int(NR * 0.9 + 0.5)], v[NR] }'
