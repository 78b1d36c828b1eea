#!/usr/bin/env bash
# kill -9 of each party in the middle of a transfer: the survivor says so, applications get their
# reset, and when the killed one is back everything works again without touching the survivor.
#
#   home 10.77.0.2 ---+--- laptop 10.77.0.3
#   web, exit         |    front, curl             kill -9: home, laptop, relay,
#                     +--- relay 10.77.0.4         and relay again with UDP dropped
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

# A transfer of about two minutes, in the background: it is there to be broken.
start_transfer() {
    rm -f "$LAB/broken"
    lab_spawn transfer laptop curl -sS --fail --limit-rate 2M --socks5-hostname 127.0.0.1:1080 \
        -o "$LAB/broken" http://home.peer:8080/big
    lab_wait_until 20 test -s "$LAB/broken"
}

# The application learns of it: curl ends, and not as if all were well.
assert_broken() {
    lab_wait_until "$1" lab_is_dead transfer
    ! lab_join transfer || lab_fail "curl took half a file for a whole one"
}

differs() {
    local before=$1
    shift
    [ "$("$@")" != "$before" ]
}

equals() {
    ! differs "$@"
}

peer_state() {
    lab_peer "$1" "$2" .state
}

relay_state() {
    lab_status "$1" | jq -r '.relays[0].state // "none"'
}

web_connections() {
    lab_exec home ss -Htn state established "sport = :8080" | wc -l
}

# Streams may wait for a lost peer; here not for long.
LAB_NODE="resume_timeout = 10s"
lab_three
lab_big_file $((300 << 20))
lab_three_start
lab_first_page
lab_await_path laptop home direct

lab_say "kill home"
start_transfer
state=$(peer_state laptop home)
lab_kill home
lab_wait_until 45 differs "$state" peer_state laptop home
lab_say "laptop says home is $(peer_state laptop home), was $state"
assert_broken 60
lab_adit home
lab_first_page
lab_await_path laptop home direct
lab_download

lab_say "kill home, back at once"
start_transfer
lab_kill home
lab_adit home
assert_broken 60
lab_first_page

lab_say "kill laptop"
start_transfer
lab_wait_until 10 equals "$state" peer_state home laptop
lab_kill laptop
assert_broken 30
lab_wait_until 45 differs "$state" peer_state home laptop
lab_say "home says laptop is $(peer_state home laptop), was $state"
lab_wait_until 60 equals 0 web_connections
lab_say "home has let go of the web server"
lab_adit laptop
lab_first_page
lab_await_path laptop home direct
lab_download

lab_say "kill relay, path direct"
start_transfer
state=$(relay_state laptop)
lab_kill relay
lab_wait_until 45 differs "$state" relay_state laptop
lab_wait_until 45 differs "$state" relay_state home
lab_say "both say the relay is $(relay_state laptop), was $state"
lab_is_alive transfer || lab_fail "a direct transfer died with the relay"
lab_download
lab_relay relay
lab_wait_until 90 equals "$state" relay_state laptop
lab_wait_until 90 equals "$state" relay_state home
lab_kill transfer

lab_say "kill relay, path relay"
lab_drop_udp home laptop
lab_first_page
lab_await_path laptop home relay
start_transfer
lab_kill relay
lab_wait_until 45 differs "$state" relay_state laptop
lab_relay relay
lab_wait_until 90 equals "$state" relay_state laptop
lab_wait_until 90 equals "$state" relay_state home
lab_wait_until 60 lab_page_arrives
lab_download
lab_await_path laptop home relay
