#!/usr/bin/env bash
# Bytes from strangers: to the UDP port, to the relay, to the front. Silence or a clear answer, a
# counter, no growth, and a transfer beside it that does not care.
#
#   home 10.77.0.2 ---+--- laptop 10.77.0.3
#   web, exit         |    front, curl
#                     +--- relay    10.77.0.4
#                     +--- stranger 10.77.0.6       says anything to everybody
. "$(dirname "${BASH_SOURCE[0]}")/../lab/lab.sh"

# Datagrams of all lengths; half of them with one of the small first bytes that Adit's own have.
shout_udp() {
    lab_exec stranger bash -c '
        for ((i = 0; i < 600; i++)); do
            size=$((RANDOM % 1400 + 1))
            if ((i % 2)); then
                { printf "\\x$(printf %02x $((i / 2 % 8)))"; head -c "$size" /dev/urandom; } >"$1/datagram"
            else
                head -c "$size" /dev/urandom >"$1/datagram"
            fi
            cat "$1/datagram" >/dev/udp/10.77.0.2/41000 # one write, one datagram
        done' shout "$LAB"
}

# shout_tcp HOST ADDRESS PORT: connections that say random bytes, half a request, or nothing.
shout_tcp() {
    lab_exec "$1" bash -c '
        for ((i = 0; i < 60; i++)); do
            exec 3<>"/dev/tcp/$1/$2" || exit 1
            case $((i % 4)) in
            0) head -c $((RANDOM % 3000 + 1)) /dev/urandom >&3 ;;
            1) printf "GET /derp HTTP/1.1\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n\r\n" >&3
               head -c 500 /dev/urandom >&3 ;;
            2) printf "\x05\x01" >&3 ;;
            3) head -c 100000 /dev/zero | tr "\0" A >&3 ;;
            esac
            exec 3>&-
        done' shout "$2" "$3" 2>>"$LAB/shout.log" || true
}

refused_packets() {
    lab_status home | jq '[.counters | .packets_unknown, .packets_no_session, .packets_unauthentic,
        .handshakes_bad_mac, .handshakes_unknown, .handshakes_invalid, .packets_protocol] | add'
}

answers_to_stranger() {
    lab_exec stranger nft -j list chain inet ear in | jq '[.. | .packets? // empty] | add'
}

lab_three
lab_host stranger 10.77.0.6
lab_exec stranger nft -f - <<'NFT'
table inet ear {
    chain in {
        type filter hook input priority 0;
        meta l4proto udp counter
    }
}
NFT
lab_big_file $((128 << 20))
lab_three_start
lab_first_page
lab_await_path laptop home direct
before=$(refused_packets)
home_kib=$(lab_rss_kib home)
relay_kib=$(lab_rss_kib relay)

lab_spawn beside laptop curl -sS --fail --limit-rate 8M --socks5-hostname 127.0.0.1:1080 \
    -o "$LAB/beside" http://home.peer:8080/big
shout_udp
[ "$(answers_to_stranger)" = 0 ] || lab_fail "the stranger got $(answers_to_stranger) UDP answers"
counted=$(($(refused_packets) - before))
[ "$counted" -ge 500 ] || lab_fail "of 600 bad datagrams only $counted are counted"
lab_say "600 bad datagrams: no answer, $counted counted"

shout_tcp stranger 10.77.0.4 3340
shout_tcp laptop 127.0.0.1 1080
for name in home laptop relay; do
    lab_is_alive "$name" || lab_fail "$name did not survive"
done
[ $(($(lab_rss_kib home) - home_kib)) -lt 32768 ] || lab_fail "home has grown"
[ $(($(lab_rss_kib relay) - relay_kib)) -lt 32768 ] || lab_fail "the relay has grown"
lab_say "relay and front heard nonsense and live"

lab_wait_until 60 lab_is_dead beside
lab_join beside || lab_fail "the transfer beside it broke: $(cat "$LAB/beside.log")"
[ "$(sha256sum <"$LAB/beside")" = "$LAB_BIG_SUM" ] || lab_fail "the file arrived changed"
assert_path laptop home direct
lab_page_arrives || lab_fail "the front does not work any more"
