#!/usr/bin/env bash
# adit ping and adit why: the path they name is the one that the kernel's counters and the node's
# status name too.
#
#   home 10.77.0.2 -X-+-X- laptop 10.77.0.3      X = nft drops arriving UDP, at first
#   exit, web         |    front                 ghost: a peer that never runs
#                     +--- relay 10.77.0.4
. "$(dirname "${BASH_SOURCE[0]}")/../lab/lab.sh"

readonly EX_USAGE=64 EX_NOHOST=68 EX_UNAVAILABLE=69

# expect STATUS COMMAND ARGUMENT...: at laptop; what it says goes to $LAB/said.
expect() {
    local wanted=$1 status=0
    shift
    timeout 60 "$ADIT" "$@" --config "$LAB/laptop.ini" >"$LAB/said" 2>"$LAB/complaint" ||
        status=$?
    [ "$status" -eq "$wanted" ] ||
        lab_fail "adit $*: status $status, not $wanted: $(cat "$LAB/said" "$LAB/complaint")"
    lab_say "adit $*: $status, $(tail -n 1 "$LAB/said")"
}

# says PATTERN, complains PATTERN: of the last expect.
says() {
    grep -qE -- "$1" "$LAB/said" || lab_fail "does not say /$1/: $(cat "$LAB/said")"
}

complains() {
    grep -qE -- "$1" "$LAB/complaint" || lab_fail "no complaint of $1: $(cat "$LAB/complaint")"
}

lab_three
lab_make_key ghost
cat >>"$LAB/laptop.ini" <<INI

[peer ghost]
key = ${lab_key[ghost]}
endpoint = 10.77.0.9:41000

[route]
home.test = peer home
10.0.0.0/8 = direct
INI

# Without a node: the ini answers where it can.
expect "$EX_UNAVAILABLE" ping home
complains 'no node is running'
expect 0 why www.home.test 80
says 'goes through peer home'
says 'home.test = peer home \(line [0-9]+\)'
says 'no node is running'

lab_drop_udp home laptop
lab_three_start

# By the relay; what the packets cost crosses the relay's cable and no other.
expect 0 ping -c 2 home
says '^home: relay main [0-9.]+ ms$'
! grep -q direct "$LAB/said" || lab_fail "direct without UDP: $(cat "$LAB/said")"
assert_path laptop home relay
expect 0 ping -c 1 home --json
[ "$(jq -r '.path.kind + " " + .path.relay' "$LAB/said")" = "relay main" ] ||
    lab_fail "JSON: $(cat "$LAB/said")"
expect "$EX_UNAVAILABLE" ping --until-direct -c 3 home
complains 'not reached directly'
expect 0 why home
says '^home: relay: '
says '\* relay +main'
expect 0 why home --json
[ "$(jq '[.paths[] | select(.used)] | length' "$LAB/said")" -eq 1 ] || lab_fail "why: one path"
[ "$(jq -r '.paths[] | select(.used) | .kind' "$LAB/said")" = relay ] || lab_fail "why: relay"
jq -e '.candidates[] | select(.address == "10.77.0.2:41000") |
    (.answered | not) and .probes > 0 and (.reason | length > 0)' "$LAB/said" >/dev/null ||
    lab_fail "why: the candidate that cannot answer: $(jq -c .candidates "$LAB/said")"

# The way is free: it becomes direct, and ping says so.
lab_heal home laptop
expect 0 ping --until-direct home
says '^home: direct 10\.77\.0\.2:41000 [0-9.]+ ms$'
assert_path laptop home direct
relayed=$(lab_cable_bytes relay)
expect 0 ping -c 3 home
[ "$(grep -c '^home: direct 10\.77\.0\.2:41000 ' "$LAB/said")" -eq 3 ] || lab_fail "not all direct"
relayed=$(($(lab_cable_bytes relay) - relayed))
[ "$relayed" -lt 20000 ] || lab_fail "$relayed bytes crossed the relay's cable"
expect 0 why home
says '^home: direct: '
says '\* direct 10\.77\.0\.2:41000 '
says 'relay before|before a relay'

# Where targets go, and what happens there.
expect 0 why home.peer 8080
says 'the machine of peer home'
says 'the peer is connected, direct 10\.77\.0\.2:41000'
says 'asked for localhost:8080'
expect 0 why home.peer 8080 --try
says 'tried: it connects'
expect "$EX_UNAVAILABLE" why home.peer 9 --try
complains 'refused'
expect 0 why elsewhere.example 80
says 'refused: no line of \[route\]'
expect 0 why 10.77.0.4 80 --json
[ "$(jq -r '.goes + " " + .rule' "$LAB/said" | cut -d'(' -f1)" = "direct 10.0.0.0/8 = direct " ] ||
    lab_fail "why of an address: $(cat "$LAB/said")"
expect 0 why stranger.peer 80
says 'no peer of that name'

# What cannot be.
expect "$EX_UNAVAILABLE" ping -c 1 ghost
says '^ghost: no answer$'
complains 'ghost does not answer'
expect 0 why ghost
says '^ghost: no session'
expect "$EX_NOHOST" ping stranger
complains 'no peer is called "stranger"'
expect "$EX_NOHOST" why stranger
expect "$EX_USAGE" ping 'no name'
expect "$EX_USAGE" ping -c 0 home
expect "$EX_USAGE" why home.peer http
lab_stop home
expect "$EX_UNAVAILABLE" ping -c 1 home
