#!/usr/bin/env bash
# `adit demo --once`: relay, home and proxy node on loopback, one page through SOCKS, exit 0.
#
#   one host, loopback only, no other network
. "$(dirname "${BASH_SOURCE[0]}")/../lab/lab.sh"

lab_network

timeout 60 "$ADIT" demo --once >"$LAB/demo.log" 2>&1 || lab_fail "adit demo --once ended with $?"
cat "$LAB/demo.log"
grep -qiE '\b(direct|relay)\b' "$LAB/demo.log" || lab_fail "the demo does not name the path"
grep -qiE '\b(rtt|round.trip)\b' "$LAB/demo.log" || lab_fail "the demo does not tell the round-trip time"

# Without --once it stays, and SIGINT ends it well; nothing of it is left.
env --default-signal=INT "$ADIT" demo >"$LAB/stay.log" 2>&1 & # bash ignores it in the background
lab_pid[stay]=$!
said_curl() {
    lab_is_alive stay || lab_fail "adit demo ended by itself"
    grep -q 'curl .*socks5' "$LAB/stay.log"
}
lab_wait_until 30 said_curl
kill -INT "${lab_pid[stay]}"
lab_wait_until 15 lab_is_dead stay
lab_join stay || lab_fail "adit demo ended with $? after SIGINT"
[ -z "$(ss -Hltnu)" ] || lab_fail "something of the demo still listens: $(ss -Hltnu)"
