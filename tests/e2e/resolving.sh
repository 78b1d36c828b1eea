#!/usr/bin/env bash
# Name servers that keep silent, at the exit: about some names, which must not hold up the others; about
# one family, which must not hold up the other (RFC 8305); and addresses that keep silent. And what a
# target may take.
#
#   home 10.77.0.2 ---+--- laptop 10.77.0.3 (front, curl)
#   web, exit, DNS    +--- relay 10.77.0.4
. "$(dirname "${BASH_SOURCE[0]}")/../lab/lab.sh"

readonly FRONT=127.0.0.1:1080
LAB_DNSSERVER=${LAB_DNSSERVER:-$lab_root/build-dev/tests/lab_dnsserver}

dns_listens() {
    [ -n "$(lab_exec home ss -Hlun 'sport = :53')" ]
}

# page HOST SECONDS: the page must come within that time; the system's own resolver waits 5 s for an answer.
page() {
    local said
    said=$(lab_exec laptop curl -sS --fail --max-time "$2" --proxy "socks5h://$FRONT" "http://$1:8080/small" 2>"$LAB/said") ||
        lab_fail "$1: curl ended with $?: $(cat "$LAB/said")"
    [ "$said" = "a page of home" ] || lab_fail "$1: got $said"
}

asked_for_silence() {
    [ "$(grep -c '^silent[0-9]*\.test ' "$LAB/dns.log")" -ge 40 ]
}

lab_three
echo 'hosts: dns' >"$LAB/nsswitch.conf"
echo 'nameserver 127.0.0.1' >"$LAB/resolv.conf"
mount --bind "$LAB/resolv.conf" /etc/resolv.conf
printf '\n[route]\ndefault = peer home\n' >>"$LAB/laptop.ini"
printf '\n[exit]\ndial_timeout = 4s\n' >>"$LAB/home.ini"
lab_spawn dns home "$LAB_DNSSERVER" 127.0.0.1 53 web.test=10.77.0.2 late.test=10.77.0.2 other.test=10.77.0.2 \
    dead6.test=10.77.0.2 dead6.test=2001:db8::99
# 2001:db8::99 is nobody: who calls it gets no answer.
ip -n home address add 2001:db8::2/64 dev eth0 nodad
lab_exec home nft -f - <<'NFT'
table inet six {
    chain out {
        type filter hook output priority 0; policy accept;
        ip6 daddr 2001:db8::99 tcp flags syn counter
    }
}
NFT
lab_wait_until 10 dns_listens
lab_three_start
lab_first_page
lab_await_path laptop home direct

page web.test 4
page late.test 4
grep -q '^late.test 28$' "$LAB/dns.log" || lab_fail "nobody asked for an AAAA: this proves nothing"
lab_say "no answer about IPv6: the page comes over IPv4 all the same"

page dead6.test 2
lab_say "an IPv6 address that keeps silent: the page comes over IPv4 after a quarter of a second"
[ "$(lab_exec home nft -j list table inet six | jq '[.. | .counter? // empty | .packets] | add')" -gt 0 ] ||
    lab_fail "nobody called the IPv6 address: this proves nothing"
said=$(lab_exec home ss -Htn state syn-sent dst '[2001:db8::99]')
[ -z "$said" ] || lab_fail "the attempt that lost goes on: $said"

start=$SECONDS
for i in $(seq 20); do
    lab_spawn "silent$i" laptop curl -sS --max-time 30 -o "$LAB/silent$i.out" -w '%{http_code}\n' \
        --proxy "http://$FRONT" "http://silent$i.test:8080/small"
done
lab_wait_until 4 asked_for_silence
page web.test 4
page other.test 4
page late.test 4
lab_say "while twenty names hang, the others are found"
for i in $(seq 20); do
    lab_join "silent$i" || lab_fail "curl of silent$i ended with $?"
    [ "$(cat "$LAB/silent$i.log")" = 504 ] || lab_fail "silent$i: status $(cat "$LAB/silent$i.log"), not 504"
done
[ $((SECONDS - start)) -le 15 ] || lab_fail "dial_timeout is 4 s, but it took $((SECONDS - start))"
lab_say "a name that nobody answers for: 504 after dial_timeout"
assert_path laptop home direct
lab_stop home
lab_say "and home ends at once, whatever hangs"
