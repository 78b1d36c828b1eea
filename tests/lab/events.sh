#!/usr/bin/env bash
# What happens in the middle of a transfer: the file arrives as it was, the application sees no
# error, and the path becomes what it can be.
#
#   home --- gw_home (EIM+APDF) --- br0 --- gw_laptop (EIM+APDF) --- laptop
#   web, exit                        |                                front, curl
#                                  relay
#
#   tests/lab/events.sh            all of them but those that mostly wait, some at a time
#   tests/lab/events.sh EVENT      one
#
# Environment: EVENTS (which ones; idle.sh asks for those that wait).
#
# Alone: it runs several events at a time itself.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# The longest first.
read -ra events <<<"${EVENTS:-swap block renumber flush relay_gone relay_restart same_lan hairpin}"

# What an idle pair may cost, in kB of IP an hour, with its relay connections: tunnel/README.md promises
# it and the simulator holds it to that over an hour. A short look may find, on top, what is rare: new keys
# (507 bytes with their proofs), a question of how long the NAT remembers (152), a sign of life of the
# relay (109).
IDLE_STREAM_KB=50 IDLE_STREAM_RARE=800
IDLE_NONE_KB=15 IDLE_NONE_RARE=300

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

# The system says that the network is another one: nobody has to look for that.
swap() {
    local before
    before=$(heard_changes)
    nat_swap laptop
    lab_wait_until 2 has_heard_changes $((before + 1))
}

heard_changes() {
    grep -c ' network changed ' "$LAB/laptop.log" || true
}

has_heard_changes() {
    [ "$(heard_changes)" -ge "$1" ]
}

event_swap() {
    event_with swap
    # Link, addresses and routes came and went: a swarm, and not as many moves.
    [ "$(heard_changes)" -le 4 ] || lab_fail "$(heard_changes) changes were told for one swap"
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

# A mapping lives 60 s, whether it is used or not.
lifetime() {
    sleep 60
    nat_flush home
    lab_say "the mapping has ended"
    assert_flows
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
    lab_wait_until 20 nat_is_relayed
    assert_flows
    assert_path laptop home relay
    transfer_end
}

# Counts what the laptop says and hears: packets with their IP headers, as a metered link does. Not the
# kernel's own: it goes on asking for IPv6 routers.
watch_cost() {
    lab_exec laptop nft -f - <<'NFT'
table inet cost {
    counter ip_bytes {
    }
    chain leaving {
        type filter hook output priority 0; policy accept;
        oifname eth0 meta l4proto { tcp, udp } counter name ip_bytes
    }
    chain arriving {
        type filter hook input priority 0; policy accept;
        iifname eth0 meta l4proto { tcp, udp } counter name ip_bytes
    }
}
NFT
}

cost_bytes() {
    lab_exec laptop nft -j list counter inet cost ip_bytes | jq '.nftables[] | .counter? // empty | .bytes'
}

# cost SECONDS: the bytes of so long, into $LAB/cost.
cost() {
    local begin
    begin=$(cost_bytes)
    sleep "$1"
    echo $(($(cost_bytes) - begin)) >"$LAB/cost"
}

# assert_cost WHAT SECONDS KB-AN-HOUR RARE
assert_cost() {
    local bytes allowed=$(($3 * 1000 * $2 / 3600 + $4))
    bytes=$(cat "$LAB/cost")
    lab_say "$1: $bytes bytes in $2 s, $((bytes * 36 / $2 / 10)) kB an hour"
    [ "$bytes" -le "$allowed" ] || lab_fail "silence costs $bytes bytes and not $allowed"
}

# An upload that says nothing for several of the NAT's lifetimes, and then goes on. What it costs is
# looked at when all is quiet: 45 s after data moved, and what then ends has ended.
hesitating_upload() {
    {
        head -c 500000 "$LAB/www/big"
        sleep 60
        cost 32
        head -c 1000000 "$LAB/www/big" | tail -c 500000
    } | lab_curl --max-time 120 -H 'Content-Length: 1000000' -H 'Transfer-Encoding:' -T - \
        http://home.peer:8080/up >"$LAB/said"
}

event_idle_stream() {
    local sum
    nat_two eim_apdf eim_apdf
    lab_big_file $((1 << 20))
    nat_two_start
    lab_first_page
    lab_wait_until 15 nat_is_direct
    watch_cost
    lab_steady laptop home hesitating_upload
    sum=$(head -c 1000000 "$LAB/www/big" | sha256sum | cut -d' ' -f1)
    [ "$(cat "$LAB/said")" = "1000000 $sum" ] || lab_fail "uploaded, but: $(cat "$LAB/said")"
    assert_path laptop home direct
    assert_path home laptop direct
    assert_cost "direct all the time, with a stream" 32 "$IDLE_STREAM_KB" "$IDLE_STREAM_RARE"
}

# Two nodes that know each other and have nothing to say. What they have is their relay.
event_idle_none() {
    nat_two eim_apdf eim_apdf
    nat_two_start
    lab_wait_until 15 nat_is_direct
    watch_cost
    sleep 15 # a new session is kept lively for 10 s
    cost 60
    assert_cost "nothing open" 60 "$IDLE_NONE_KB" "$IDLE_NONE_RARE"
    lab_first_page
}

# --- two nodes behind one router -----------------------------------------------------------------

# The file comes, directly and by the laptop's path to such an address; the router's outside sees none.
arrives_by() {
    local outside relayed
    lab_big_file $((20 << 20))
    nat_two_start
    lab_first_page
    lab_wait_until 15 nat_is_direct
    lab_wait_until 15 goes_to "$1"
    outside=$(lab_cable_bytes gw_home)
    lab_steady laptop home lab_download
    outside=$(($(lab_cable_bytes gw_home) - outside))
    nat_is_direct || lab_fail "not direct any more"
    [ "$outside" -lt $((512 << 10)) ] || lab_fail "$outside bytes went out of the router"
    lab_say "direct, $(lab_peer laptop home .path.address)"
}

goes_to() {
    [[ "$(lab_peer laptop home .path.address)" == $1 ]]
}

event_same_lan() {
    nat_two_together eim_apdf bridged
    arrives_by 192.168.1.2:41000
}

# They hear each other only through the router's outside address.
event_hairpin() {
    nat_two_together eim_eif apart
    arrives_by "203.0.113.2:*"
}

if [ $# -eq 1 ]; then
    case $1 in idle_*) NAT_IDLE=20 ;; esac
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
    while [ "$(jobs -rp | wc -l)" -ge 5 ]; do
        wait -n || true
    done
    {
        status=0
        timeout -k 5 200 bash "${BASH_SOURCE[0]}" "$event" >"$events_out/$event" 2>&1 || status=$?
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
