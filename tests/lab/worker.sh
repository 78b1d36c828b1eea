#!/usr/bin/env bash
# The thread that seals and sends (`workers = 1`) at both ends: what arrives is what was sent, over
# the direct path, also after the peer was killed and when the network refuses to take anything.
#
#   home 10.77.0.2 ---+--- laptop 10.77.0.3        endpoint of home configured
#   web, exit         |    front, curl
#                     +--- relay 10.77.0.4
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

# How many of NODE's threads there are that a node without a worker does not have.
threads() {
    find "/proc/${lab_pid[$1]}/task" -mindepth 1 -maxdepth 1 | wc -l
}

# A session at rest looks for no other path.
is_on() {
    lab_page_arrives && lab_path_is laptop home "$1"
}

bulk() {
    lab_wait_until 30 is_on direct
    lab_steady laptop home lab_download
    lab_steady laptop home lab_upload $((32 << 20))
    assert_path laptop home direct
    assert_path home laptop direct
}

lab_three
lab_adit laptop
without=$(threads laptop)
lab_stop laptop
sed -i 's/^log = info$/&\nworkers = 1/' "$LAB/home.ini" "$LAB/laptop.ini"
lab_big_file $((128 << 20))
lab_three_start
lab_first_page
[ "$(threads laptop)" -gt "$without" ] || lab_fail "$(threads laptop) threads, as many as without"
bulk

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
