#!/usr/bin/env bash
# One transfer that loses its direct path twice and gets it back twice: first the network swallows
# UDP without a word, then the sender's own system refuses it.
#
#   home 10.77.0.2 ---+-X- laptop 10.77.0.3        X = comes and goes
#   web, exit         |    front, curl
#                     +--- relay 10.77.0.4
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

# Reads slowly until the flag stands, then as fast as it can: so the transfer lasts as long as the
# cuts take, however long that is.
read_slowly_until() {
    while [ ! -e "$1" ]; do
        head -c 524288
        sleep 0.1
    done
    cat
}

arrived() {
    stat -c %s "$LAB/arrived"
}

has_arrived() {
    [ "$(arrived)" -ge "$1" ]
}

# Bytes go on coming now, on whatever path there is.
assert_flows() {
    kill -0 "$curl" 2>/dev/null || lab_fail "the transfer ended too early"
    lab_wait_until 20 has_arrived $(($(arrived) + (4 << 20)))
}

lab_three
lab_big_file $((768 << 20))
lab_three_start
lab_first_page
lab_await_path laptop home direct

mkfifo "$LAB/pipe"
: >"$LAB/arrived"
lab_curl http://home.peer:8080/big >"$LAB/pipe" &
curl=$!
read_slowly_until "$LAB/go" <"$LAB/pipe" >"$LAB/arrived" &
reader=$!
assert_flows
assert_path laptop home direct

for cut in lab_drop_udp lab_refuse_udp; do
    "$cut" home laptop
    lab_say "$cut"
    lab_await_path laptop home relay
    lab_await_path home laptop relay
    lab_say "moved to the relay"
    assert_flows
    lab_heal home laptop
    lab_await_path laptop home direct
    lab_await_path home laptop direct
    lab_say "moved back to direct"
    assert_flows
done

touch "$LAB/go"
wait "$curl" || lab_fail "curl ended with $?"
wait "$reader"
[ "$(sha256sum <"$LAB/arrived")" = "$LAB_BIG_SUM" ] || lab_fail "the file arrived changed"
lab_say "$LAB_BIG bytes, hash equal"
