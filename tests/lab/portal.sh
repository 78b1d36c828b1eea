#!/usr/bin/env bash
# A captive portal between laptop and everything at port 80, where the relay is: it is told, and when
# somebody has logged in the relay is reached.
#
#   home 10.77.0.2 --+-- portal -- laptop 10.77.0.3
#   web, exit        |    :8088    front, curl
#                    '-- relay 10.77.0.4:80
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

portal_is() {
    [ "$(lab_status laptop | jq -r .node.nat.captive_portal)" = "$1" ]
}

lab_three
sed -i 's/10\.77\.0\.4:3340/10.77.0.4:80/' "$LAB"/{relay,home,laptop}.ini
sed -i '/^endpoint = /d' "$LAB/laptop.ini"
lab_drop_udp home laptop
lab_spawn relay relay "$ADIT" relay -c "$LAB/relay.ini"
lab_wait_until 15 lab_listens relay relay 80
lab_adit home

lab_spawn portal laptop perl -e '
    use IO::Socket::INET;
    my $s = IO::Socket::INET->new(LocalPort => 8088, Listen => 8, ReuseAddr => 1) or die $!;
    while (my $c = $s->accept) {
        <$c>;
        print $c "HTTP/1.1 302 Found\r\nLocation: http://log.in/\r\nContent-Length: 0\r\n\r\n";
        close $c;
    }'
lab_wait_until 10 lab_listens portal laptop 8088
lab_exec laptop nft 'add table ip portal
    add chain ip portal out { type nat hook output priority -100; }
    add rule ip portal out tcp dport 80 redirect to :8088'
lab_adit laptop
lab_wait_until 15 portal_is true
timeout 10 "$ADIT" status -c "$LAB/laptop.ini" | grep -q "captive portal" || lab_fail "status is silent"
timeout 10 "$ADIT" why -c "$LAB/laptop.ini" home | grep -q "captive portal" || lab_fail "why is silent"
portal_is true || lab_fail "it was forgotten"

begun=$SECONDS
lab_exec laptop nft delete table ip portal
lab_wait_until 20 portal_is false
lab_first_page
assert_path laptop home relay
[ "$(grep -c "relay portal " "$LAB/laptop.log")" -eq 1 ] || lab_fail "the log does not tell it once"
grep -q "relay portal_gone" "$LAB/laptop.log" || lab_fail "the log does not tell its end"
! grep -q "relay portal" "$LAB/home.log" || lab_fail "home saw a portal"
lab_say "the portal was told, and a page came $((SECONDS - begun)) s after it let us through"
