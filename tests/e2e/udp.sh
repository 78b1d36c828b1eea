#!/usr/bin/env bash
# Datagrams and connections from outside, with real clients, through a peer behind a NAT: DNS over UDP
# ASSOCIATE (PySocks), dig and iperf3 through forwarded UDP ports, `adit connect -u`, and BIND as an
# active FTP client uses it. First on the direct path, then over the relay, as the kernel's counters
# of the relay's cable say.
#
#   home 192.168.1.2 -- gw_home (eim_apdf) --+-- gw_laptop (eim_apdf) -- laptop 192.168.1.3
#   DNS :5300, echo :5400, ftpd :2121        |    front :1080
#   iperf3 :5201, all on 127.0.0.1           +-- relay
#
# Alone: it counts what is lost.
. "$(dirname "${BASH_SOURCE[0]}")/../lab/lab.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lab/nat.sh"

readonly TOOL=$lab_root/tests/e2e/udp_tool.py
for python in python3 /usr/bin/python3; do
    "$python" -c 'import socks' 2>/dev/null && break
done
"$python" -c 'import socks' 2>/dev/null || lab_skip "python3-socks is not installed"
for program in dig iperf3; do
    command -v "$program" >/dev/null || lab_skip "$program is not installed"
done

tool() {
    lab_exec laptop timeout 60 "$python" "$TOOL" "$@"
}

# counter NODE NAME: of the UDP ones.
counter() {
    lab_status "$1" | jq ".counters.udp.$2"
}

counter_is() {
    [ "$(counter "$1" "$2")" = "$3" ]
}

udp_listens() {
    [ -n "$(lab_exec "$1" ss -Hlun "sport = :$2")" ]
}

# resolves USER
resolves() {
    local said
    said=$(tool dns "$1" www.example) || lab_fail "DNS over UDP ASSOCIATE as $1"
    [ "$said" = "192.0.2.77 from 127.0.0.1" ] || lab_fail "DNS over UDP ASSOCIATE as $1: $said"
}

# echoes USER COUNT LENGTH...: nothing is lost, on a network that loses nothing.
echoes() {
    local lost
    lost=$(tool echo "$@") || lab_fail "echo $*"
    [ "$lost" = 0 ] || lab_fail "echo $*: $lost lost"
}

# flow ARGUMENTS...: two seconds of iperf3's datagrams; prints the lost part in per cent.
flow() {
    lab_exec laptop timeout 30 iperf3 -c 127.0.0.1 -u -t 2 -l 1200 -b 10M --json "$@" >"$LAB/iperf.json" ||
        lab_fail "iperf3 $*: $(jq -r .error "$LAB/iperf.json")"
    jq '.end.sum.lost_percent | floor' "$LAB/iperf.json"
}

nat_two eim_apdf eim_apdf
echo "bind = yes" >>"$LAB/home.ini"
cat >>"$LAB/laptop.ini" <<INI
commands = connect bind udp

[forward]
udp 127.0.0.1:5353 = home:5300
127.0.0.1:5201 = home:5201
udp 127.0.0.1:5201 = home:5201
INI
lab_spawn servers home "$python" "$TOOL" serve
lab_spawn ftpd home "$python" "$TOOL" ftpd
lab_spawn iperf home iperf3 -s -B 127.0.0.1
lab_wait_until 15 udp_listens home 5400
lab_wait_until 15 lab_listens ftpd home 2121
lab_wait_until 15 lab_listens iperf home 5201
nat_two_start
lab_first_page
lab_wait_until 30 nat_is_direct
relayed=$(lab_cable_bytes relay)

lab_steady laptop home resolves -
lab_steady laptop home echoes - 20 1 1200 1400 9000 65000
assert_path laptop home direct
lab_wait_until 10 counter_is laptop associations_now 0
lab_wait_until 10 counter_is home flows_now 0
lab_say "UDP ASSOCIATE: DNS, and datagrams of up to 65000 bytes; they end with their connection"

said=$(lab_exec laptop dig +short +tries=1 +time=10 -p 5353 @127.0.0.1 www.example) || lab_fail "dig: $said"
[ "$said" = 192.0.2.77 ] || lab_fail "dig through a forwarded port: $said"
lab_spawn forward laptop "$ADIT" forward -c "$LAB/laptop.ini" --udp 5454 home:5300
lab_wait_until 15 udp_listens laptop 5454
said=$(lab_exec laptop dig +short +tries=1 +time=10 -p 5454 @127.0.0.1 www.example) || lab_fail "dig: $said"
[ "$said" = 192.0.2.77 ] || lab_fail "dig through adit forward --udp: $said"
lab_kill forward
lab_say "dig: through [forward] and through adit forward --udp"

said=$(tool message www.example | lab_exec laptop "$ADIT" connect -c "$LAB/laptop.ini" -u -w 1 home.peer 5300 |
    "$python" "$TOOL" answer) || lab_fail "adit connect -u: $said"
[ "$said" = 192.0.2.77 ] || lab_fail "adit connect -u: $said"
lab_say "adit connect -u: a query out, its answer in"

for way in "" -R; do
    # shellcheck disable=SC2086 # none or one
    lost=$(flow $way)
    [ "$lost" -le 2 ] || lab_fail "iperf3 ${way:-forth}: $lost % of 10 Mbit/s are lost"
    lab_say "iperf3 ${way:-forth}: 10 Mbit/s of datagrams, $lost % lost"
done

said=$(tool ftp -) || lab_fail "BIND: $said"
[ "$said" = "a file of home from 127.0.0.1" ] || lab_fail "BIND: $said"
lab_say "BIND: the server at home has connected back"
assert_path laptop home direct
relayed=$(($(lab_cable_bytes relay) - relayed))
[ "$relayed" -lt 500000 ] || lab_fail "$relayed bytes crossed the relay's cable: it was not all direct"

# The user name wants the relay; the direct path is still there for everybody else.
relayed=$(lab_cable_bytes relay)
resolves me+relay-only
echoes me+relay-only 5 1200 9000 65000
relayed=$(($(lab_cable_bytes relay) - relayed))
[ "$relayed" -gt $((2 * 2 * 5 * 75200)) ] || lab_fail "only $relayed bytes crossed the relay's cable"
assert_path laptop home direct
lab_say "the same over the relay, for a user name that asks for it: $relayed bytes on its cable"

# And with no UDP at all between the sites.
cut_udp() {
    lab_exec "$1" nft -f - <<NFT
table inet lab_forward {
    chain cut {
        type filter hook forward priority 0; policy accept;
        meta l4proto udp counter drop
    }
}
NFT
}
cut_udp gw_home
cut_udp gw_laptop
lab_wait_until 30 nat_is_relayed
resolves -
echoes - 5 1200 65000
said=$(tool ftp -) || lab_fail "BIND over the relay: $said"
assert_path laptop home relay
lab_say "and where no UDP gets through: over the relay"

for name in strangers fragments malformed unasked not_allowed; do
    counter_is laptop "$name" 0 || lab_fail "laptop counts $(counter laptop $name) $name"
    counter_is home "$name" 0 || lab_fail "home counts $(counter home $name) $name"
done
