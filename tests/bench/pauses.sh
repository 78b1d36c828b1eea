#!/usr/bin/env bash
# How long peers on two relays of a cluster hear nothing of each other while a relay or a NATS server
# is killed: the network of lab/cluster.bash, each program that has to do with them in turn, during a
# transfer. The file must arrive unchanged, and numbers sent every 5 ms beside it each once and in
# order; the longest time without one is the pause.
#
#     tests/bench/pauses.sh [KILLS]        (24)
#
# Environment: VICTIMS, of what is done in turn: home, laptop (kill -9 of the node's relay), nats-home,
# nats-laptop (of the NATS server that this relay is connected to), term-home, hup-home (SIGTERM, SIGHUP).
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

again() {
    case $1 in
    nats-*) cluster_start_nats "${1#nats-}" ;;
    *) cluster_start_relay "$1" ;;
    esac
    cluster_see_each_other 2
}

# The node's relay, or that relay's NATS server.
program() {
    local relay
    relay=$(cluster_on "${1##*-}")
    case $1 in
    nats-*) echo "nats-$(cluster_nats_of "$relay")" ;;
    *) echo "$relay" ;;
    esac
}

end() {
    case $1 in
    term-*) lab_stop "$2" ;;
    hup-*) kill -HUP "${lab_pid[$2]}" ;;
    *) lab_kill "$2" ;;
    esac
}

summary() {
    sort -n "$2" | awk -v what="$1" '
        { v[NR] = $1 }
        END { printf "%-12s %3d times, pause in ms: median %4d, 90 %% %4d, longest %4d\n", what,
            NR, v[int((NR + 1) / 2)], v[int(NR * 0.9 + 0.5)], v[NR] }'
}

cluster_network
lab_big_file $((32 << 20))
lab_spawn pulse home python3 "$lab_root/tests/lab/pulse.py" serve 0.0.0.0:8090
cluster_start
for ((i = 0; i < kills; i++)); do
    what=${victims[i % ${#victims[@]}]}
    victim=$(program "$what")
    where="home on $(cluster_on home), laptop on $(cluster_on laptop)"
    watch
    lab_paced 2
    end "$what" "$victim"
    cluster_transferred "$where, $what: $victim"
    watched "$victim"
    echo "$pause" | tee -a "$LAB/pauses" >>"$LAB/pauses.$what"
    lab_say "$what: pause $pause ms"
    [[ $what == hup-* ]] || again "$victim"
done
for what in "${victims[@]}"; do
    [ ! -e "$LAB/pauses.$what" ] || summary "$what" "$LAB/pauses.$what"
done
summary all "$LAB/pauses"
