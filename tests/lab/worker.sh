#!/usr/bin/env bash
# The threads that seal and send and that open (`workers = 1` and `2`) at both ends: what arrives is
# what was sent, over the direct path, also after the peer was killed and when the network refuses to
# take anything.
#
#   home 10.77.0.2 ---+--- laptop 10.77.0.3        endpoint of home configured
#   web, exit         |    front, curl
#                     +--- relay 10.77.0.4
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

# How many of NODE's threads there are that a node without a worker does not have.
threads() {
    find "/proc/${lab_pid[$1]}/task" -mindepth 1 -maxdepth 1 | wc -l
}

# How many of NODE's threads beside the main one have done anything to speak of: 32 MB take one
# 3 ms at least.
busy_threads() {
    local task
    for task in /proc/"${lab_pid[$1]}"/task/*; do
        [ "${task##*/}" = "${lab_pid[$1]}" ] || awk '$1 > 2e6' "$task/schedstat"
    done | wc -l
}

# A session at rest looks for no other path.
is_on() {
    lab_page_arrives && lab_path_is laptop home "$1"
}

bulk() {
    lab_wait_until 30 is_on direct
    lab_steady laptop home lab_download
    lab_steady laptop home lab_upload "$LAB_BIG"
    assert_path laptop home direct
    assert_path home laptop direct
}

# begin COUNT: both nodes begin anew with so many.
begin() {
    sed -i '/^workers = /d; s/^log = info$/&\nworkers = '"$1"'/' "$LAB/home.ini" "$LAB/laptop.ini"
    lab_adit home
    lab_adit laptop
    lab_first_page
    [ "$(threads laptop)" -ge $((without + $1)) ] || lab_fail "$(threads laptop) threads, $without without"
}

assert_busy() {
    local name
    for name in home laptop; do
        [ "$(busy_threads "$name")" -ge "$1" ] || lab_fail "$name: $(busy_threads "$name") of $1 threads work"
    done
}

lab_three
lab_adit laptop
without=$(threads laptop)
lab_stop laptop
lab_big_file "${LAB_WORKER_BYTES:-$((128 << 20))}"
lab_relay relay
begin 1
bulk
assert_busy 1
lab_stop laptop
lab_stop home

lab_say "one more thread, which opens"
begin 2
bulk
assert_busy 2

lab_say "home is killed in the middle and comes back"
lab_spawn transfer laptop curl -sS --fail --limit-rate 20M --max-time 60 \
    --socks5-hostname 127.0.0.1:1080 -o "$LAB/broken" http://home.peer:8080/big
lab_wait_until 20 test -s "$LAB/broken"
lab_kill home
lab_adit home
lab_first_page
! lab_join transfer || lab_fail "curl took half a file for a whole one"
bulk

lab_say "the system refuses UDP: the relay takes over, and back"
lab_refuse_udp home
lab_wait_until 30 is_on relay
lab_heal home
bulk

for name in laptop home relay; do
    lab_stop "$name"
done
