#!/usr/bin/env bash
# What happens in the middle of a transfer: the file arrives as it was, the application sees no
# error, and the path becomes what it can be.
#
#   home --- gw_home (EIM+APDF) --- br0 --- gw_laptop (EIM+APDF) --- laptop
#   web, exit                        |                                front, curl
#                                  relay
#
#   tests/lab/events.sh            all of them, some at a time
#   tests/lab/events.sh EVENT      one
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
events=(lifetime idle flush renumber swap block relay_gone relay_restart) # the longest first

# --- the transfer --------------------------------------------------------------------------------

# Reads slowly until the flag stands, then as fast as it can: so the transfer lasts as long as the
# event takes.
read_slowly_until() {
    while [ ! -e "$1" ]; do
        head -c 262144
        sleep 0.1
    done
    cat
}

has_arrived() {
    [ "$(stat -c %s "$LAB/arrived")" -ge "$1" ]
}

# Bytes go on coming now, on whatever path there is. The longest silence allowed is 20 s.
assert_flows() {
    lab_wait_until 20 has_arrived $(($(stat -c %s "$LAB/arrived") + (4 << 20)))
    lab_say "flows, $(lab_path laptop home)"
}

has_crossed() {
    [ "$(lab_cable_bytes gw_laptop)" -ge "$1" ]
}

# The cables' word and not only the status': 4 MB go to the laptop, and none of them by the relay.
flows_direct() {
    local relayed
    relayed=$(lab_cable_bytes relay)
    lab_wait_until 20 has_crossed $(($(lab_cable_bytes gw_laptop) + (4 << 20)))
    relayed=$(($(lab_cable_bytes relay) - relayed))
    [ "$relayed" -lt $((512 << 10)) ] && nat_is_direct
}

transfer_begin() {
    mkfifo "$LAB/pipe"
    : >"$LAB/arrived"
    lab_curl http://home.peer:8080/big >"$LAB/pipe" 2>"$LAB/curl.log" &
    curl=$!
    read_slowly_until "$LAB/go" <"$LAB/pipe" >"$LAB/arrived" &
    reader=$!
    lab_pid[curl]=$curl lab_pid[reader]=$reader # so that they end with the script
    assert_flows
}

transfer_end() {
    local status=0
    touch "$LAB/go"
    wait "$curl" || status=$?
    [ "$status" -eq 0 ] || lab_fail "curl saw an error: $status $(cat "$LAB/curl.log")"
    wait "$reader"
    unset "lab_pid[curl]" "lab_pid[reader]"
    [ "$(sha256sum <"$LAB/arrived")" = "$LAB_BIG_SUM" ] || lab_fail "the file arrived changed"
    lab_say "all $LAB_BIG bytes are here, hash equal"
}

begin() {
    nat_two "$1" "$2"
    lab_big_file "${EVENT_BYTES:-$((100 << 20))}"
    nat_two_start
    lab_first_page
    transfer_begin
}

# --- the events ----------------------------------------------------------------------------------

# event_with COMMAND...: happens, bytes go on, the path is direct again within 30 s.
event_with() {
    begin eim_apdf eim_apdf
    lab_wait_until 15 flows_direct
    lab_say "direct, $(lab_peer laptop home .path.address)"
    "$@"
    lab_say "$*"
    assert_flows
    lab_wait_until 30 flows_direct
    lab_say "direct again, $(lab_peer laptop home .path.address)"
    transfer_end
}

event_flush() {
    event_with nat_flush laptop
}

event_renumber() {
    event_with nat_renumber laptop 203.0.113.33
}

event_swap() {
    event_with nat_swap laptop
}

block() {
    nat_udp_blocked gw_laptop
    lab_wait_until 20 nat_is_relayed
    assert_flows
    nat_eim_apdf gw_laptop
}

event_block() {
    event_with block
}

# No mapping lives longer than 15 s, whether it is used or not.
lifetime() {
    local i
    for i in 1 2 3; do
        sleep 15
        nat_flush home
        lab_say "mapping number $i has ended"
        assert_flows
    done
}

event_lifetime() {
    EVENT_BYTES=$((200 << 20))
    event_with lifetime
}

event_relay_gone() {
    begin eim_apdf eim_apdf
    lab_wait_until 15 nat_is_direct
    lab_kill relay
    lab_say "the relay is gone"
    lab_steady laptop home sleep 10
    assert_flows
    assert_path laptop home direct
    transfer_end
}

event_relay_restart() {
    begin edm_random edm_random
    assert_path laptop home relay
    lab_kill relay
    sleep 2
    nat_relay_start
    lab_say "another relay runs"
    assert_flows
    assert_path laptop home relay
    transfer_end
}

# An upload that says nothing for two of the NAT's lifetimes, and then goes on, on the same path.
hesitating_upload() {
    {
        head -c 500000 "$LAB/www/big"
        sleep 5
        lab_cable_bytes laptop >"$LAB/silence.begins"
        sleep 40
        lab_cable_bytes laptop >"$LAB/silence.ends"
        head -c 1000000 "$LAB/www/big" | tail -c 500000
    } | lab_curl --max-time 90 -H 'Content-Length: 1000000' -H 'Transfer-Encoding:' -T - \
        http://home.peer:8080/up >"$LAB/said"
}

event_idle() {
    local bytes sum
    nat_two eim_apdf eim_apdf
    lab_big_file $((1 << 20))
    nat_two_start
    lab_first_page
    lab_wait_until 15 nat_is_direct
    lab_steady laptop home hesitating_upload
    sum=$(head -c 1000000 "$LAB/www/big" | sha256sum | cut -d' ' -f1)
    [ "$(cat "$LAB/said")" = "1000000 $sum" ] || lab_fail "uploaded, but: $(cat "$LAB/said")"
    assert_path laptop home direct
    assert_path home laptop direct
    bytes=$(($(cat "$LAB/silence.ends") - $(cat "$LAB/silence.begins")))
    lab_say "direct all the time; silence took $((bytes * 90 / 1000)) kB/h of the laptop's cable"
}

if [ $# -eq 1 ]; then
    [ "$1" != idle ] || NAT_IDLE=20
    NAT_DELAY=${NAT_DELAY:-10}
    . "$here/lab.sh"
    . "$here/nat.sh"
    "event_$1"
    exit
fi

# --- all of them ---------------------------------------------------------------------------------

events_out=$(mktemp -d "${TMPDIR:-/tmp}/events.XXXXXX")
trap 'rm -rf "$events_out"' EXIT
for event in "${events[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge 4 ]; do
        wait -n || true
    done
    {
        status=0
        timeout -k 5 150 bash "${BASH_SOURCE[0]}" "$event" >"$events_out/$event" 2>&1 || status=$?
        echo "$status" >"$events_out/$event.status"
    } &
done
wait
bad=0
for event in "${events[@]}"; do
    status=$(cat "$events_out/$event.status")
    if [ "$status" -eq 77 ]; then
        cat "$events_out/$event" >&2
        exit 77
    fi
    printf '\n== %s: exit status %d\n' "$event" "$status"
    cat "$events_out/$event"
    [ "$status" -eq 0 ] || bad=$((bad + 1))
done
printf '\n%d events in %d s, %d bad\n' "${#events[@]}" "$SECONDS" "$bad"
[ "$bad" -eq 0 ]
