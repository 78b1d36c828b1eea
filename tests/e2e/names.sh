#!/usr/bin/env bash
# Where names are resolved: those of a peer's targets at the peer, never at the front, whatever door
# they came in by; those of `direct` targets at the front; those in .peer nowhere. Each host has a DNS
# server on its own loopback that says what it was asked, and the kernel counts what goes to port 53.
#
#   home 10.77.0.2 ---+--- laptop 10.77.0.3       home's DNS:   web.corp.test  = 10.77.0.2
#   web, exit, DNS    |    front, curl, DNS       laptop's DNS: web.near.test  = 10.77.0.2
#                     +--- relay 10.77.0.4        both:         both.test, but differently
. "$(dirname "${BASH_SOURCE[0]}")/../lab/lab.sh"

readonly FRONT=127.0.0.1:1080
LAB_DNSSERVER=${LAB_DNSSERVER:-$lab_root/build-dev/tests/lab_dnsserver}

# dns HOST NAME=IP...: a DNS server on HOST's loopback.
dns() {
    lab_spawn "dns_$1" "$1" "$LAB_DNSSERVER" 127.0.0.1 53 "${@:2}"
    lab_wait_until 10 dns_listens "$1"
    lab_exec "$1" nft -f - <<'NFT'
table inet names {
    chain out {
        type filter hook output priority 0; policy accept;
        th dport 53 counter
    }
}
NFT
}

dns_listens() {
    [ -n "$(lab_exec "$1" ss -Hlun 'sport = :53')" ]
}

# asked HOST: the names that HOST's DNS server was asked for, each once.
asked() {
    cut -d' ' -f1 "$LAB/dns_$1.log" | sort -u | tr '\n' ' '
}

# packets HOST: what HOST sent to anybody's port 53.
packets() {
    lab_exec "$1" nft -j list table inet names | jq '[.. | .counter? // empty | .packets] | add'
}

# silent HOST: nobody asked HOST's DNS server for anything, nor did HOST ask any other.
silent() {
    [ "$(packets "$1")" -eq 0 ] || lab_fail "$1 sent $(packets "$1") packets to port 53"
    [ -z "$(asked "$1")" ] || lab_fail "$1 asked for $(asked "$1")"
}

arrives() {
    local what=$1 said
    shift
    said=$("$@" 2>"$LAB/said") || lab_fail "$what: ended with $?: $(cat "$LAB/said")"
    [ "$said" = "a page of home" ] || lab_fail "$what: got $said"
    lab_say "$what: the page arrives"
}

curl_laptop() {
    lab_exec laptop curl -sS --fail --max-time 20 "$@"
}

through_adit_connect() {
    printf 'GET /small HTTP/1.0\r\n\r\n' |
        lab_exec laptop timeout 20 "$ADIT" connect -c "$LAB/laptop.ini" web.corp.test 8080 |
        sed '1,/^\r$/d'
}

lab_three
echo 'hosts: dns' >"$LAB/nsswitch.conf"
echo 'nameserver 127.0.0.1' >"$LAB/resolv.conf"
mount --bind "$LAB/resolv.conf" /etc/resolv.conf
cat >>"$LAB/laptop.ini" <<'INI'

[forward]
127.0.0.1:2080 = web.corp.test:8080

[route]
corp.test = peer home
near.test = direct
INI
dns home web.corp.test=10.77.0.2 both.test=10.77.0.2
dns laptop web.near.test=10.77.0.2 both.test=10.77.0.9
lab_three_start
lab_first_page
lab_await_path laptop home direct
silent laptop
silent home

arrives "SOCKS5" curl_laptop --proxy "socks5h://$FRONT" http://web.corp.test:8080/small
[ "$(asked home)" = "web.corp.test " ] || lab_fail "home asked for: $(asked home)"
silent laptop
arrives "SOCKS4a" curl_laptop --proxy "socks4a://$FRONT" http://web.corp.test:8080/small
arrives "HTTP" curl_laptop --proxy "http://$FRONT" http://web.corp.test:8080/small
arrives "CONNECT" curl_laptop --proxytunnel --proxy "http://$FRONT" http://web.corp.test:8080/small
arrives "a forwarded port" curl_laptop http://127.0.0.1:2080/small
arrives "adit connect" through_adit_connect
arrives "a user's exit" curl_laptop --proxy "socks5h://%40home:x@$FRONT" http://both.test:8080/small
arrives "a spelling of its own" curl_laptop --proxy "socks5h://$FRONT" http://WEB.Corp.Test.:8080/small
curl_laptop --proxy "socks5h://$FRONT" http://nowhere.corp.test:8080/ 2>/dev/null && lab_fail "nowhere.corp.test is there"
silent laptop
[ "$(asked home)" = "both.test nowhere.corp.test web.corp.test " ] || lab_fail "home asked for: $(asked home)"
lab_say "names of home's targets: resolved at home alone"

before=$(packets home)
for url in http://stranger.peer:8080/ http://a.b.home.peer:8080/ http://wiki.home.peer/ http://peer/ \
    http://refused.test:8080/; do
    ! curl_laptop --proxy "socks5h://$FRONT" "$url" 2>/dev/null || lab_fail "$url is there"
done
arrives "home.peer" curl_laptop --proxy "socks5h://$FRONT" http://home.peer:8080/small
silent laptop
[ "$(packets home)" -eq "$before" ] || lab_fail "a name in .peer went to a DNS server: $(asked home)"
lab_say "names in .peer, and those no route takes: resolved nowhere"

arrives "direct" curl_laptop --proxy "socks5h://$FRONT" http://web.near.test:8080/small
[ "$(asked laptop)" = "web.near.test " ] || lab_fail "laptop asked for: $(asked laptop)"
[ "$(packets laptop)" -gt 0 ] || lab_fail "the kernel counted nothing: this proves nothing"
[ "$(packets home)" -eq "$before" ] || lab_fail "home asked for: $(asked home)"
assert_path laptop home direct
