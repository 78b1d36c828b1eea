#!/usr/bin/env bash
# Three relays for both nodes: in the middle of a transfer the one in use dies, then the next; one
# is told to end, and one falls silent.
#
#   home 10.77.0.2 -X-+-X- laptop 10.77.0.3       X = arriving UDP is dropped
#   web, exit         |    front, curl
#                     '--- relay 10.77.0.4, two 10.77.0.5, three 10.77.0.6: adit relay
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

relays=(relay two three)
declare -A other=([home]=laptop [laptop]=home)
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

# finish_transfer WHAT LONGEST_PAUSE_MS
finish_transfer() {
    lab_paced_end "$1"
    assert_path laptop home relay
    [ "$lab_pause" -le "$2" ] || lab_fail "$1: a pause of $lab_pause ms"
    lab_say "$1: hash equal, longest pause $lab_pause ms, now by $(relay_of laptop)"
}

lab_three
lab_big_file $((24 << 20))
for name in two three; do
    lab_host "$name" "${address[$name]}"
    sed "s/10\.77\.0\.4/${address[$name]}/" "$LAB/relay.ini" >"$LAB/$name.ini"
done
for name in "${relays[@]}"; do
    echo "drain = 30s" >>"$LAB/$name.ini"
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
    lab_paced 3
    used=$(relay_of laptop)
    at_home=$(home_of laptop)
    lab_kill "$used"
    finish_transfer "kill -9 of the relay $used, laptop's home $at_home" 8000
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

# Told to end: all goes elsewhere first, so the relay need not wait for the end of its drain.
lab_paced 3
used=$(relay_of laptop)
begun=$SECONDS
kill -TERM "${lab_pid[$used]}"
lab_wait_until 20 lab_is_dead "$used"
lab_join "$used" || lab_fail "the relay $used ended with status $?"
lab_say "the relay $used was left, and ended $((SECONDS - begun)) s after SIGTERM"
finish_transfer "SIGTERM of the relay $used" 4000
for node in home laptop; do
    [ "$(lab_peer "$node" "${other[$node]}" .path.relay)" != "$used" ] || lab_fail "$node goes by the relay that ended"
    grep -q "relay restarting relay=$used" "$LAB/$node.log" || lab_fail "$node was not told"
    [ "$(home_of "$node")" != "$used" ] || lab_fail "$node is at home at the relay that ended"
done
lab_wait_until 10 is_up laptop 2

# Silent: nothing comes from it any more, and nobody says so.
lab_paced 3
used=$(relay_of laptop)
begun=$SECONDS
lab_exec "$used" nft 'add table ip silence
    add chain ip silence in { type filter hook input priority 0; policy drop; }
    add chain ip silence out { type filter hook output priority 0; policy drop; }'
lab_wait_until 25 is_up laptop 1
lab_say "the relay $used is silent, and given up after $((SECONDS - begun)) s"
finish_transfer "silence of the relay $used" 12000
[ "$(relay_of laptop)" != "$used" ] || lab_fail "it goes by the silent relay"
[ "$(home_of laptop)" != "$used" ] || lab_fail "laptop is at home at the silent relay"
lab_wait_until 25 is_up home 1
