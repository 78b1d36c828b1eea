#!/usr/bin/env bash
# Whom a node sends datagrams to while it looks for a way, and how many: the kernel counts each.
#
#   home 192.168.1.2 --- gw_home (random ports) --- br0 --- gw_laptop (EIM+APDF) --- laptop 192.168.1.3
#   .66 a stranger                                   |
#                                                  relay, STUN on two addresses
#
# Such a pair guesses ports, which sends more than anything else. The stranger, in home's own LAN,
# talks to home all the time and must get no answer.
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"
NAT_DELAY=10
. "$(dirname "${BASH_SOURCE[0]}")/nat.sh"

# Packets in any one second: of path/birthday.h 500 for the hard side and 167 for the easy one, of
# path/cand.h 160 to candidates, and some for STUN and the router.
readonly HARD_PPS=700 EASY_PPS=350

watch_udp() {
    lab_exec "$1" nft -f - <<'NFT'
table inet watch {
    set told {
        type ipv4_addr . inet_service
        flags dynamic; size 65535;
    }
    counter sent {
    }
    counter told6 {
    }
    chain out {
        type filter hook output priority 0; policy accept;
        oifname lo accept
        ip protocol udp counter name sent update @told { ip daddr . udp dport }
        ip6 nexthdr udp counter name told6
    }
}
NFT
}

sent() {
    lab_exec "$1" nft -j list counter inet watch "${2:-sent}" | jq '.nftables[] | .counter? // empty | .packets'
}

# Lines "ADDRESS PORT" of everybody who was sent to.
told() {
    lab_exec "$1" nft -j list set inet watch told |
        jq -r '.nftables[] | .set? // empty | .elem[]? | (.elem.val? // .) | .concat | "\(.[0]) \(.[1])"'
}

# Packets of each second, until the script ends.
measure() {
    local name=$1 before now
    before=$(sent "$name")
    while sleep 1; do
        now=$(sent "$name")
        echo $((now - before)) >>"$LAB/$name.pps"
        before=$now
    done
}

# assert_told NAME PATTERN...: nobody but those, "ADDRESS PORT" as patterns of the shell.
assert_told() {
    local name=$1 line pattern known strangers=0
    shift
    while read -r line; do
        known=no
        for pattern in "$@"; do
            # shellcheck disable=SC2053 # a pattern
            [[ $line != $pattern ]] || known=yes
        done
        [ "$known" = yes ] || { echo "$name sent to $line" && strangers=$((strangers + 1)); }
    done < <(told "$name")
    [ "$strangers" -eq 0 ] || lab_fail "$name sent to $strangers addresses that are nobody's"
    [ "$(sent "$name" told6)" -eq 0 ] || lab_fail "$name sent over IPv6, where nobody is"
}

assert_rate() {
    local most
    most=$(sort -n "$LAB/$1.pps" | tail -n 1)
    lab_say "$1 sent $(sent "$1") packets to $(told "$1" | wc -l) places, up to $most in a second"
    [ "$most" -le "$2" ] || lab_fail "$1 sent $most packets in a second, and not $2"
}

nat_two edm_random eim_apdf
ip -n gw_home address add 192.168.1.66/24 dev lan
lab_spawn stranger gw_home perl -e '
    use IO::Socket::INET;
    my $s = IO::Socket::INET->new(Proto => "udp", LocalAddr => "192.168.1.66", LocalPort => 4000,
        PeerAddr => "192.168.1.2", PeerPort => 41000) or die $!;
    my $heard = "";
    for (my $n = 0; ; $n = ($n + 1) % 256) {
        my $len = 1 + ($n * 37) % 1300;
        send($s, chr($n) . join("", map { chr(rand(256)) } 1 .. $len), 0);
        # and a proper request of STUN, and what looks like a handshake
        send($s, pack("nnNN3", 1, 0, 0x2112A442, 1, 2, 3), 0);
        select(undef, undef, undef, 0.02);
    }'
for name in home laptop; do
    watch_udp "$name"
    measure "$name" &
    lab_pid[measure_$name]=$!
done
nat_two_start
lab_first_page
deadline=$((SECONDS + 40))
until nat_is_direct || [ "$SECONDS" -ge "$deadline" ]; do
    lab_page_arrives
    sleep 0.5
done
lab_say "$(lab_path laptop home), after $(lab_status laptop | jq .counters.birthday_runs) runs of guessing"

# The peer itself: its candidates, and any port of the address that it was proven to have.
assert_told home "203.0.113.10 3478" "198.51.100.10 3478" "203.0.113.3 *" "192.168.1.3 41000" \
    "192.168.1.1 5351" "239.255.255.250 1900"
assert_told laptop "203.0.113.10 3478" "198.51.100.10 3478" "203.0.113.2 *" "192.168.1.2 41000" \
    "192.168.1.1 5351" "239.255.255.250 1900"
lab_is_alive stranger || lab_fail "the stranger gave up"
unknown=$(lab_status home | jq '.counters | .packets_unknown + .packets_no_session + .handshakes_bad_mac')
[ "$unknown" -ge 20 ] || lab_fail "home says that only $unknown packets came from strangers"
assert_rate home "$HARD_PPS"
assert_rate laptop "$EASY_PPS"
