#!/usr/bin/env bash
# Three relays for both nodes: the one in use dies in the middle of a transfer, then the next.
#
#   home 10.77.0.2 -X-+-X- laptop 10.77.0.3       X = arriving UDP is dropped
#   web, exit         |    front, curl
#                     '--- relay 10.77.0.4, two 10.77.0.5, three 10.77.0.6: adit relay
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

relays=(relay two three)
declare -A address=([relay]=10.77.0.4 [two]=10.77.0.5 [three]=10.77.0.6)

relay_of() {
    lab_peer "$1" home .path.relay
}

is_up() {
    [ "$(lab_status "$1" | jq -r "[.relays[] | select(.state == \"connected\")] | length")" = "$2" ]
}

home_of() {
    lab_status "$1" | jq -r '[.relays[] | select(.home) | .name] | join(",")'
}

# start_transfer SECONDS, finish_transfer WHAT: the big file, at a rate that takes about so long.
start_transfer() {
    rm -f "$LAB/begun" "$LAB/transfer.log"
    PACED_BEGUN=$LAB/begun lab_spawn transfer laptop python3 "$lab_root/tests/lab/paced.py" \
        127.0.0.1:1080 home.peer 8080 /big $((LAB_BIG / $1))
    lab_wait_until 20 test -e "$LAB/begun"
}

finish_transfer() {
    local what=$1 sum pause
    lab_wait_until 60 lab_is_dead transfer
    lab_join transfer || lab_fail "$what: the transfer broke: $(cat "$LAB/transfer.log")"
    read -r sum pause <"$LAB/transfer.log"
    [ "$sum" = "${LAB_BIG_SUM%% *}" ] || lab_fail "$what: the file arrived changed"
    assert_path laptop home relay
    lab_say "$what: hash equal, longest pause $pause ms, now by $(relay_of laptop)"
}

lab_three
lab_big_file $((24 << 20))
for name in two three; do
    lab_host "$name" "${address[$name]}"
    sed "s/10\.77\.0\.4/${address[$name]}/" "$LAB/relay.ini" >"$LAB/$name.ini"
done
for node in home laptop; do
    sed -i '/^relay = main$/d; /^endpoint = /d; s/^\[relay main\]/[relay relay]/' "$LAB/$node.ini"
    for name in two three; do
        printf '\n[relay %s]\nurl = http://%s:3340\n' "$name" "${address[$name]}" >>"$LAB/$node.ini"
    done
done
lab_drop_udp home laptop
for name in "${relays[@]}"; do
    lab_relay "$name"
done
lab_adit home
lab_adit laptop
lab_wait_until 10 is_up home 3
lab_wait_until 10 is_up laptop 3
lab_first_page
[[ " ${relays[*]} " == *" $(home_of laptop) "* ]] || lab_fail "laptop's home is $(home_of laptop)"
for left in 2 1; do
    start_transfer 3
    used=$(relay_of laptop)
    at_home=$(home_of laptop)
    lab_kill "$used"
    finish_transfer "kill -9 of the relay $used, laptop's home $at_home"
    [ "$(relay_of laptop)" != "$used" ] || lab_fail "it goes by the dead relay"
    [ "$at_home" != "$used" ] || [ "$(home_of laptop)" != "$used" ] || lab_fail "home is dead"
    lab_wait_until 10 is_up laptop "$left"
done
for name in "${relays[@]}"; do
    [ -n "${lab_pid[$name]:-}" ] || lab_relay "$name"
done
lab_wait_until 30 is_up laptop 3
lab_wait_until 30 is_up home 3
lab_steady laptop home lab_download
