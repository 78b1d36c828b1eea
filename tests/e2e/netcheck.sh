#!/usr/bin/env bash
# `adit netcheck` says what the NAT in front of it is, and what the relays are worth.
#
#   home 192.168.1.2 --- gw_home 203.0.113.2 --- br0 --- relay 203.0.113.10, 198.51.100.10
#                        each NAT in turn                adit relay :80 with STUN :4478 on each,
#                                                        and one that knows RFC 5780, :5478
. "$(dirname "${BASH_SOURCE[0]}")/../lab/lab.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lab/nat.sh"

readonly EX_UNAVAILABLE=69

# relay ID ADDRESS STUN...: a relay of Adit with its STUN server.
relay() {
    local id=$1 address=$2
    shift 2
    lab_make_key "$id"
    cat >"$LAB/$id.ini" <<INI
[server]
listen = $address
stun = $*
key = $LAB/$id.key
open = yes
INI
    lab_spawn "$id" relay "$ADIT" relay -c "$LAB/$id.ini"
    lab_wait_until 15 relay_listens "$id" "$address"
}

relay_listens() {
    lab_is_alive "$1" || lab_fail "$1 ended: $(tail -n 3 "$LAB/$1.log")"
    [ -n "$(lab_exec relay ss -Hltn "src = $2")" ]
}

# ini PORTMAP STUN...: what home's netcheck reads. Its key is not there: none is needed.
ini() {
    local server
    printf '[node]\nkey = %s/absent.key\nportmap = %s\n' "$LAB" "$1"
    shift
    for server in "$@"; do
        echo "stun = $server"
    done
    printf '[relay one]\nurl = http://203.0.113.10\n[relay two]\nurl = http://198.51.100.10\n'
}

# check STATUS: runs it on home.ini; the report is $LAB/report.
check() {
    local status=0 start=${EPOCHREALTIME/./} spent
    lab_exec home timeout 20 "$ADIT" netcheck -c "$LAB/home.ini" --json \
        >"$LAB/report" 2>"$LAB/said.log" || status=$?
    spent=$(((${EPOCHREALTIME/./} - start) / 1000))
    [ "$status" -eq "$1" ] || lab_fail "status $status and not $1: $(cat "$LAB/said.log")"
    [ "$spent" -lt 5500 ] || lab_fail "it took $spent ms"
}

# Is what jq's FILTER makes of the report the text WANTED?
says() {
    local found
    found=$(jq -r "$1" "$LAB/report")
    [ "$found" = "$2" ] || lab_fail "$1 is \"$found\" and not \"$2\": $(jq -c . "$LAB/report")"
}

readonly ipv4='.ipv4 | "\(.udp) \(.mapping) \(.filtering) \(.sequential) \(.addresses | join(","))"'

nat_internet
relay one 203.0.113.10:80 203.0.113.10:4478
relay two 198.51.100.10:80 198.51.100.10:4478
relay five 203.0.113.10:81 203.0.113.10:5478 198.51.100.10:5479 \
    '[2001:db8::10]:5478' '[2001:db8::11]:5479'

# Two plain servers: the mapping alone, for the kernel's own masquerades.
nat_site home edm_random
ini no 203.0.113.10:4478 198.51.100.10:4478 >"$LAB/home.ini"
masquerade() {
    nat_load gw_home <<NFT
table ip nat {
    chain out {
        type nat hook postrouting priority 100; policy accept;
        oifname eth0 masquerade $1
    }
}
NFT
}
masquerade ""
check 0
says "$ipv4" "true endpoint-independent unknown false 203.0.113.2"
says .ipv4.port_preserved true
says '.stun_answered' 2
says '[.relays[] | select(.answered and .answer_us > 0 and .connect_us > 0) | .name] | join(" ")' "one two"
says '.verdict | startswith("direct connections will work with everything that lets UDP through")' true
says '.portmap.service' none
says .captive_portal false
lab_say "masquerade: $(jq -r .verdict "$LAB/report")"
masquerade random
check 0
says "$ipv4" "true endpoint-dependent unknown false 203.0.113.2"
says '.verdict | contains("but other hard NATs")' true
lab_say "masquerade random: $(jq -r .verdict "$LAB/report")"

# People read the same.
lab_exec home "$ADIT" netcheck -c "$LAB/home.ini" >"$LAB/text"
for line in '^UDP  *works: 2 of 2 ' '^IPv4  *seen as 203\.0\.113\.2; mapping endpoint-dependent' \
    '^relay  *two: [0-9.]* ms' '^direct connections will work'; do
    grep -qE "$line" "$LAB/text" || lab_fail "no line /$line/ in: $(cat "$LAB/text")"
done
nat_remove home

# One relay with two addresses: mapping and filtering of every sort (RFC 5780).
dependent=address-and-port-dependent
declare -A expected=(
    [public]="true none endpoint-independent false 192.0.2.2"
    [eim_eif]="true endpoint-independent endpoint-independent false 203.0.113.2"
    [eim_adf]="true endpoint-independent address-dependent false 203.0.113.2"
    [eim_apdf]="true endpoint-independent $dependent false 203.0.113.2"
    [edm_random]="true $dependent $dependent false 203.0.113.2"
    [edm_sequential]="true $dependent $dependent true 203.0.113.2"
    [udp_blocked]="false unknown unknown false "
)
ini no 203.0.113.10:5478 >"$LAB/home.ini"
for kind in public eim_eif eim_adf eim_apdf edm_random edm_sequential udp_blocked; do
    nat_site home "$kind"
    check 0
    says "$ipv4" "${expected[$kind]}"
    says '[.relays[] | select(.answered) | .name] | join(" ")' "one two"
    lab_say "$(printf '%-15s %s' "$kind" "$(jq -r .verdict "$LAB/report")")"
    nat_remove home
done

# Both families, each with its own verdict.
nat_site home dual_hard4
ini no 203.0.113.10:5478 '[2001:db8::10]:5478' >"$LAB/home.ini"
check 0
says "$ipv4" "true $dependent $dependent false 203.0.113.2"
says '.ipv6 | "\(.udp) \(.mapping) \(.filtering) \(.addresses | join(","))"' \
    "true none $dependent 2001:db8:2::2"
lab_say "dual_hard4: $(jq -r .verdict "$LAB/report")"
nat_remove home

# A router that speaks NAT-PMP (RFC 6886): asked, and what it gave is given back.
nat_site home edm_random
ini yes 203.0.113.10:5478 >"$LAB/home.ini"
lab_spawn router gw_home perl -e '
    use Socket;
    $| = 1;
    socket(S, PF_INET, SOCK_DGRAM, 0) and bind(S, sockaddr_in(5351, INADDR_ANY)) or die $!;
    while (my $peer = recv(S, my $in, 1100, 0)) {
        my ($version, $op, $port, $life) = unpack("CCx2nx2N", $in . "\0" x 10);
        my $head = pack("CCnN", 0, 128 | $op, $version ? 1 : 0, 10);
        if ($version == 0 && $op == 0) {
            $head .= inet_aton("203.0.113.2");
        } elsif ($version == 0) {
            print "map $port for $life s\n";
            $head .= pack("nnN", $port, $life ? 40000 : 0, $life);
        }
        send(S, $head, 0, $peer);
    }'
router_listens() {
    [ -n "$(lab_exec gw_home ss -Hlun "sport = :5351")" ]
}
lab_wait_until 10 router_listens
check 0
says '.portmap | "\(.service) \(.gateway) \(.address)"' "natpmp 192.168.1.1 203.0.113.2:40000"
# The mapping stands on a socket of its own: the verdict is about the NAT as it is.
says "$ipv4" "true $dependent $dependent false 203.0.113.2"
grep -qE '^map [0-9]+ for [1-9][0-9]* s$' "$LAB/router.log" || lab_fail "no port was asked for"
tail -n 1 "$LAB/router.log" | grep -qE '^map [0-9]+ for 0 s$' || lab_fail "the port was not given back"
lab_say "NAT-PMP: $(jq -r .verdict "$LAB/report")"

lab_kill router
nat_remove home

# The real thing: miniupnpd speaks all three, and nothing is left in it.
if nat_has_portmapper; then
    nat_site home edm_portmap
    ini yes 203.0.113.10:3478 >"$LAB/home.ini"
    check 0
    says '.portmap | "\(.service) \(.upnp) \(.gateway) \(.address | split(":")[0])"' \
        "pcp true 192.168.1.1 11.0.113.2"
    says '.verdict | startswith("direct connections will work with everything")' true
    [ -z "$(nat_mapped gw_home)" ] || lab_fail "left in the router: $(nat_mapped gw_home)"
    lab_say "miniupnpd: $(jq -r .verdict "$LAB/report")"
    lab_kill portmapper_gw_home
    nat_remove home
else
    absent="no miniupnpd here ($NAT_MINIUPNPD), so UPnP was not looked at; the rest is right"
fi

# A captive portal shows a page, or sends the browser to one, whatever was asked for.
nat_site home udp_blocked
ini no >"$LAB/home.ini"
portal() {
    lab_exec gw_home nft "add table ip portal; add chain ip portal pre { type nat hook prerouting priority -101; };
        add rule ip portal pre tcp dport 80 redirect to :8088"
    lab_spawn portal gw_home perl -e '
        use IO::Socket::INET;
        my $s = IO::Socket::INET->new(LocalPort => 8088, Listen => 8, ReuseAddr => 1) or die $!;
        while (my $c = $s->accept) {
            <$c>;
            print $c $ARGV[0], "\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi";
            close $c;
        }' "$1"
    lab_wait_until 10 lab_listens portal gw_home 8088
}
for answer in "HTTP/1.1 302 Found" "HTTP/1.1 200 OK"; do
    portal "$answer"
    check 0
    says .captive_portal true
    says '[.relays[] | select(.answered)] | length' 0
    says '.verdict | contains("captive portal")' true
    lab_kill portal
    lab_exec gw_home nft delete table ip portal
done
lab_say "portal: $(jq -r .verdict "$LAB/report")"
nat_remove home
nat_site home edm_random

# A resolver that is silent does not hold anybody up, and relays count although no name is known.
echo 'nameserver 203.0.113.77' >"$LAB/resolv.conf"
mount --bind "$LAB/resolv.conf" /etc/resolv.conf
echo 'hosts: files dns' >"$LAB/nsswitch.conf"
ini no stun.example.net:3478 >"$LAB/home.ini"
check 0
says '.stun_asked' 0
lab_say "no names: $(jq -r .verdict "$LAB/report")"
echo 'hosts: files' >"$LAB/nsswitch.conf"

# Nobody there at all.
lab_kill one
lab_kill two
lab_kill five
ini no 203.0.113.10:5478 >"$LAB/home.ini"
check "$EX_UNAVAILABLE"
says '[.relays[] | select(.answered)] | length' 0
says '.verdict | startswith("nothing answers")' true
lab_say "dead: $(jq -r .verdict "$LAB/report")"
[ -z "${absent:-}" ] || lab_skip "$absent"
