# NATs of every kind for the laboratory, made of the kernel's own (bash, sourced after lab.sh).
#
#   192.168.1.2          203.0.113.2        203.0.113.3          192.168.1.3
#     home -------- gw_home ------- br0 ------- gw_laptop -------- laptop
#            lan            eth0     |     eth0            lan
#                                  relay  203.0.113.10, 198.51.100.10, 2001:db8::10, ::11
#                                         adit relay :80 :443, STUN :3478 :3479
#
# Both homes have the same private network, as homes do: an address in it may belong to a stranger.
# Sites that are public have 192.0.2.2 and 192.0.2.130, those with IPv6 2001:db8:2::2 and
# 2001:db8:3::2. A site behind two NATs has isp_NAME with 100.64.0.1 between gw_NAME and br0.
#
#   nat_internet          the bridge, the relay's host and its STUN server
#   nat_site NAME KIND    home or laptop behind a router of that kind
#   nat_KIND ROUTER       makes a router what its name says
#   nat_meet ROUTER...    makes them and the relay known to each other
#   nat_remove NAME       takes it down
#   nat_flush, nat_renumber, nat_swap   what happens to sites
#   nat_portmapper ROUTER, nat_mapped ROUTER    its port-mapping daemon; what that has mapped
#   nat_two KIND KIND     home and laptop behind such routers, keys, inis, the relay and web running
#   nat_two_together KIND bridged|apart     the same behind one router: in one LAN, or in two that hear each
#                         other only where the NAT turns packets back (hairpinning, RFC 4787 6)
#   nat_two_start         their Adits, until both have their relay
#   nat_probe NAME 4|6    what an RFC 5780 client sees there, nothing if the site has no such family
#
# Kinds: see nat_kinds. Mapping and filtering are those of RFC 4787; nats.sh proves each of them.
#
# How EIM is made: the kernel's NAT keeps no mappings, only flows. A plain `masquerade` keeps the
# port while it is free, but a packet that came unasked and was let in occupies the address pair,
# and the flow toward its sender then leaves from another port. So here what goes out chooses a port by
# chance and notes it (`outside`), the same for every destination until nothing has gone out for
# NAT_IDLE; after that it is another one, as a port that stayed would make a node believe that
# it had not been forgotten. What arrives finds its way back through a map that the packets on their way
# out fill (`inside`). Whom each port has talked to (`talked`) decides who may come in. Packets that
# may not are dropped before the kernel notes their flow.
#
# A router that maps ports (edm_portmap) runs a real miniupnpd, which insists on an outside address that
# looks public: 11.0.113.2 or .3 instead of 203.0.113.x. What it maps helps only those who come in, since
# it does not use the mapped port for what goes out; the answers to them leave through it, as the kernel
# keeps the two directions of a flow together.
#
# Environment: NAT_PORTMAP ("pcp", "natpmp", "upnp": the one protocol that such a router speaks; unset =
# all), LAB_NATPROBE, LAB_CABLE (programs), NAT_IDLE (seconds after which a mapping is
# forgotten), NAT_DELAY (ms from a site to the bridge; a round trip between the sites takes four).

LAB_CABLE=${LAB_CABLE:-$lab_root/build-dev/tests/lab_cable}
LAB_NATPROBE=${LAB_NATPROBE:-$lab_root/build-dev/tests/lab_natprobe}
NAT_MINIUPNPD=${NAT_MINIUPNPD:-/usr/sbin/miniupnpd}
NAT_IDLE=${NAT_IDLE:-120}
NAT_DELAY=${NAT_DELAY:-0}

nat_kinds=(public eim_eif eim_adf eim_apdf edm_random edm_sequential double_eim double_edm
    v6_firewall dual_hard4 edm_portmap udp_blocked tcp_80_443_only)

declare -A nat_number=([home]=2 [laptop]=3) nat_public_net=([home]=192.0.2.0 [laptop]=192.0.2.128)
declare -A nat_kind nat_seed nat_apart

# --- addresses -----------------------------------------------------------------------------------

# The address that a router translates to.
nat_outside() {
    ip -n "$1" -o -4 address show dev eth0 | sed -n '1s|.* inet \([0-9.]*\)/.*|\1|p'
}

nat_has_ipv4() {
    [ "$1" != v6_firewall ]
}

nat_has_ipv6() {
    [[ " public v6_firewall dual_hard4 " == *" $1 "* ]]
}

# The net between the sites' routers and the relay.
nat_edge_net() {
    if [ "$1" = edm_portmap ]; then
        echo 11.0.113
    else
        echo 203.0.113
    fi
}

nat_is_double() {
    [[ $1 == double_* ]]
}

# A namespace in which IPv6 addresses can be used at once, without a search for duplicates.
nat_namespace() {
    ip netns add "$1"
    lab_exec "$1" sh -c 'echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad'
    ip -n "$1" link set lo up
}

# The bridge sees NAME's cable as "b_NAME"; lab_cable carries frames between that one and NAME.
nat_long_cable() {
    local name=$1 delay=$2
    ip -n hub -batch - <<IP
link add b_$name type veth peer name c_$name
link set b_$name master br0
link set b_$name up
link set c_$name addrgenmode none up
link set $name addrgenmode none up
IP
    lab_spawn "cable_$name" hub "$LAB_CABLE" "$delay" "$name" "c_$name"
}

# nat_on_internet NAME [DELAY_MS]: a namespace whose eth0 is on the bridge.
nat_on_internet() {
    local name=$1
    nat_namespace "$name"
    ip -n hub link add "$name" type veth peer name eth0 netns "$name"
    if [ "${2:-0}" -gt 0 ]; then
        nat_long_cable "$name" "$2"
    else
        ip -n hub link set "$name" master br0 up
    fi
    ip -n "$name" link set eth0 up
}

# The ways to the public networks of the sites, but its own.
nat_add_routes() {
    local name=$1 site n
    ip -n "$name" route replace 11.0.113.0/24 dev eth0
    for site in home laptop; do
        n=${nat_number[$site]}
        [ "${name#*_}" != "$site" ] || continue
        ip -n "$name" route add "${nat_public_net[$site]}/25" via "203.0.113.$n"
        ip -n "$name" route add "2001:db8:$n::/64" via "2001:db8::$n"
    done
}

nat_internet() {
    lab_network
    nat_on_internet relay
    ip -n relay -batch - <<'IP'
address add 203.0.113.10/24 dev eth0
address add 198.51.100.10/24 dev eth0
address add 2001:db8::10/64 dev eth0 nodad
address add 2001:db8::11/64 dev eth0 nodad
IP
    nat_add_routes relay
    lab_spawn stun relay "$LAB_NATPROBE" serve 3478 3479 203.0.113.10 198.51.100.10 \
        2001:db8::10 2001:db8::11
}

nat_forwards() {
    # shellcheck disable=SC2016 # the inner shell's
    lab_exec "$1" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward
        echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
        cd /proc/sys/net/netfilter && echo "$0" >nf_conntrack_udp_timeout &&
        echo "$0" >nf_conntrack_udp_timeout_stream' "$NAT_IDLE"
}

# nat_edge NAME NUMBER NET: a router on the bridge, known to the world by its address in NET; what it
# cannot route it swallows, as the way out into the world would.
nat_edge() {
    local name=$1 n=$2 net=$3
    nat_on_internet "$name" "$NAT_DELAY"
    [ "$net" = 203.0.113 ] || ip -n "$name" address add "$net.$n/24" dev eth0
    ip -n "$name" -batch - <<IP
address add 203.0.113.$n/24 dev eth0
route add 198.51.100.0/24 dev eth0 src 203.0.113.$n
address add 2001:db8::$n/64 dev eth0 nodad
route add blackhole default
IP
    nat_add_routes "$name"
    nat_forwards "$name"
}

# nat_link ABOVE LAN BELOW: a cable from ABOVE's interface LAN to BELOW's eth0.
nat_link() {
    ip -n "$1" link add "$2" type veth peer name eth0 netns "$3"
    ip -n "$3" link set eth0 up
    ip -n "$1" link set "$2" up
}

# nat_lan ROUTER HOST ROUTER-ADDRESS HOST-ADDRESS LENGTH
nat_lan() {
    local family=-4 nodad=
    [[ $3 != *:* ]] || family=-6 nodad=nodad
    ip -n "$1" address add "$3/$5" dev lan $nodad
    ip -n "$2" address add "$4/$5" dev eth0 $nodad
    ip -n "$2" $family route add default via "$3"
}

nat_site() {
    local name=$1 kind=$2 n=${nat_number[$1]} edge=gw_$1
    nat_kind[$name]=$kind
    nat_namespace "$name"
    if nat_is_double "$kind"; then
        edge=isp_$name
        nat_namespace "gw_$name"
    fi
    nat_edge "$edge" "$n" "$(nat_edge_net "$kind")"
    if nat_is_double "$kind"; then
        nat_link "$edge" lan "gw_$name"
        nat_lan "$edge" "gw_$name" 100.64.0.1 100.64.0.2 24
        nat_forwards "gw_$name"
    fi
    nat_link "gw_$name" lan "$name"
    nat_host_addresses "$name" "$kind"
    nat_apply "$name"
    [ "$kind" != edm_portmap ] || nat_portmapper "gw_$name"
}

nat_remove() {
    local name
    for name in "$1" "gw_$1" "isp_$1"; do
        [ ! -e "/run/netns/$name" ] || ip netns delete "$name"
    done
    ip -n hub link delete "$(nat_edge_of "$1")" 2>/dev/null || true
    ip -n relay neigh flush all # the next router has the same addresses on another card
}

nat_host_addresses() {
    local name=$1 kind=$2 n=${nat_number[$1]} net=${nat_public_net[$1]}
    if [ "$kind" = public ]; then
        nat_lan "gw_$name" "$name" "${net%.*}.$((${net##*.} + 1))" "${net%.*}.$((${net##*.} + 2))" 25
    elif nat_has_ipv4 "$kind"; then
        nat_lan "gw_$name" "$name" 192.168.1.1 "192.168.1.$n" 24
    fi
    if nat_has_ipv6 "$kind"; then
        nat_lan "gw_$name" "$name" "2001:db8:$n::1" "2001:db8:$n::2" 64
    fi
}

# Lets the hosts on the bridge learn each other's cards, so that no first packet waits for that.
nat_meet() {
    local from to site others=()
    for site in "${!nat_kind[@]}"; do
        [ "${nat_kind[$site]}" != edm_portmap ] || others+=("11.0.113.${nat_number[$site]}")
    done
    for from in "$@" relay; do
        for to in 203.0.113.{2,3,10} 2001:db8::{2,3,10} "${others[@]}"; do
            lab_exec "$from" bash -c "echo >/dev/udp/$to/9" 2>>"$LAB/meet.log" || true
        done
    done
    lab_wait_until 5 nat_have_met "$@" relay
}

nat_have_met() {
    local from
    for from in "$@"; do
        ! ip -n "$from" neigh show dev eth0 | grep -Eq '(INCOMPLETE|FAILED)$' || return 1
    done
}

# --- rules ---------------------------------------------------------------------------------------

# nat_load ROUTER < RULES: instead of the ones that stand.
nat_load() {
    lab_exec "$1" nft -f - <<NFT
flush ruleset
$(cat)
NFT
}

# What no router lets in: what nobody inside has asked for. To the router itself: nothing but ICMP,
# so that the kernel notes no flow that would take a port from the hosts inside.
nat_filter() {
    cat <<NFT
table inet filter {
    chain input {
        type filter hook input priority 0; policy accept;
        iifname eth0 meta l4proto { tcp, udp } drop
    }
    chain forward {
        type filter hook forward priority 0; policy accept;
        $1
        iifname eth0 ct state established,related accept
        iifname eth0 ct status dnat accept
        iifname eth0 meta l4proto ipv6-icmp accept
        iifname eth0 drop
    }
}
NFT
}

# nat_eim ROUTER ALLOWED: ALLOWED says which arriving packets find the way back in. What comes from
# inside for the outside address turns back if the two LANs are apart.
nat_eim() {
    local outside turn="" turning="" turned="" apart=""
    local port="{ ip saddr . udp sport : numgen random mod 64511 offset 1024 }"
    outside=$(nat_outside "$1")
    if [ -n "${nat_apart[$1]:-}" ]; then
        turn="iifname != eth0 ip daddr $outside meta l4proto udp dnat ip to udp dport map @inside"
        turning="oifname lan* ip saddr 192.168.0.0/16 ct status dnat meta l4proto udp"
        turned="$turning snat to $outside : ip saddr . udp sport map @outside"
        turning+=" update @outside $port"
        apart="iifname lan* oifname lan* ct status dnat accept; iifname lan* oifname lan* drop"
    fi
    nat_load "$1" <<NFT
table ip nat {
    map outside {
        type ipv4_addr . inet_service : inet_service
        flags dynamic,timeout; timeout ${NAT_IDLE}s; size 65535;
    }
    map inside {
        type inet_service : ipv4_addr . inet_service
        flags dynamic,timeout; timeout ${NAT_IDLE}s; size 65535;
    }
    set talked {
        type inet_service . ipv4_addr
        flags dynamic,timeout; timeout ${NAT_IDLE}s; size 65535;
    }
    chain back {
        type nat hook prerouting priority -100; policy accept;
        ${2:+iifname eth0 meta l4proto udp $2 dnat ip to udp dport map @inside}
        $turn
    }
    chain choose {
        type filter hook postrouting priority 99; policy accept;
        oifname eth0 meta l4proto udp update @outside $port
        $turning
    }
    chain out {
        type nat hook postrouting priority 100; policy accept;
        oifname eth0 meta l4proto udp snat to $outside : ip saddr . udp sport map @outside
        oifname eth0 snat to $outside
        $turned
    }
    chain note {
        type filter hook postrouting priority 300; policy accept;
        oifname eth0 meta l4proto udp ct direction original update @inside { udp sport : ct original ip saddr . ct original proto-src }
        oifname eth0 meta l4proto udp ct direction reply update @inside { udp sport : ct reply ip saddr . ct reply proto-src }
        oifname eth0 meta l4proto udp update @talked { udp sport . ip daddr }
    }
}
$(nat_filter "$apart")
NFT
}

nat_eim_eif() {
    nat_eim "$1" "udp dport 1-65535"
}

nat_eim_adf() {
    nat_eim "$1" "udp dport . ip saddr @talked"
}

# Nobody new comes in: the kernel's flows know the addresses and ports that were talked to.
nat_eim_apdf() {
    nat_eim "$1" ""
}

# nat_edm ROUTER PORT [FORWARD-RULE]: every flow of the kernel gets a port of its own.
nat_edm() {
    local outside
    outside=$(nat_outside "$1")
    nat_load "$1" <<NFT
table ip nat {
    chain out {
        type nat hook postrouting priority 100; policy accept;
        oifname eth0 meta l4proto udp snat to $outside$2
        oifname eth0 snat to $outside
    }
}
$(nat_filter "${3:-}")
NFT
}

nat_edm_random() {
    nat_edm "$1" ":1024-65535 fully-random"
}

# As random, but its hosts can have ports mapped. What miniupnpd needs is a table with these chains.
nat_edm_portmap() {
    nat_edm_random "$1"
    lab_exec "$1" nft -f - <<'NFT'
table inet filter {
    chain miniupnpd {
    }
    chain prerouting_miniupnpd {
    }
    chain postrouting_miniupnpd {
    }
    chain prerouting {
        type nat hook prerouting priority -100; policy accept;
        jump prerouting_miniupnpd
    }
    chain postrouting {
        type nat hook postrouting priority 99; policy accept;
        jump postrouting_miniupnpd
    }
    chain other_version {
        type filter hook input priority -1; policy accept;
    }
}
NFT
    # It speaks PCP and NAT-PMP or neither: PCP's packets begin with its version.
    case ${NAT_PORTMAP:-} in
    natpmp) lab_exec "$1" nft add rule inet filter other_version udp dport 5351 @th,64,8 2 drop ;;
    pcp) lab_exec "$1" nft add rule inet filter other_version udp dport 5351 @th,64,8 0 drop ;;
    esac
}

nat_has_portmapper() {
    [ -x "$NAT_MINIUPNPD" ]
}

# Starts (again) the daemon that maps ports; it knows nothing of its former life.
nat_portmapper() {
    local router=$1 upnp=yes pmp=yes
    case ${NAT_PORTMAP:-} in
    pcp | natpmp) upnp=no ;;
    upnp) pmp=no ;;
    esac
    cat >"$LAB/$router.miniupnpd" <<CONF
ext_ifname=eth0
listening_ip=lan
enable_upnp=$upnp
enable_natpmp=$pmp
secure_mode=yes
min_lifetime=20
max_lifetime=86400
uuid=00000000-0000-0000-0000-0000000000${router: -2}
lease_file=$LAB/$router.leases
allow 1024-65535 0.0.0.0/0 1024-65535
CONF
    : >"$LAB/$router.leases"
    lab_spawn "portmapper_$router" "$router" "$NAT_MINIUPNPD" -d -f "$LAB/$router.miniupnpd" \
        -P "$LAB/$router.pid"
    lab_wait_until 10 nat_portmapper_is_up "$router"
}

nat_portmapper_is_up() {
    lab_is_alive "portmapper_$1" || lab_fail "miniupnpd of $1 ended: $(tail -n 3 "$LAB/portmapper_$1.log")"
    [ -n "$(lab_exec "$1" ss -Hlun 'sport = :5351 or sport = :1900')" ]
}

# Lines "OUTSIDE-PORT ADDRESS:PORT" of what is mapped in the kernel.
nat_mapped() {
    lab_exec "$1" nft list chain inet filter prerouting_miniupnpd |
        sed -n 's/.* dport \([0-9]*\).* dnat ip to \([0-9.:]*\).*/\1 \2/p'
}

# The numbers go through a map, since what numgen counts in is not the network's byte order.
nat_edm_sequential() {
    local first=$((10000 + ${nat_seed[$1]:-1} * 1777 % 40000)) count=4096
    nat_edm "$1" " : numgen inc mod $count map { $(
        seq "$first" $((first + count - 1)) | awk '{ printf "%s%d : %d", (NR > 1 ? ", " : ""), NR - 1, $1 }'
    ) }"
}

nat_behind_eim() {
    nat_eim_apdf "$1"
}

nat_behind_edm() {
    nat_edm_random "$1"
}

nat_public() {
    lab_exec "$1" nft flush ruleset
}

nat_v6_firewall() {
    nat_filter "" | nat_load "$1"
}

# IPv4 of the hard sort, and the filter covers both families.
nat_dual_hard4() {
    nat_edm_random "$1"
}

nat_udp_blocked() {
    nat_edm "$1" "" "meta l4proto udp drop"
}

nat_tcp_80_443_only() {
    nat_edm "$1" "" "iifname lan tcp dport != { 80, 443 } drop; iifname lan meta l4proto != tcp drop"
}

# --- what happens to routers ---------------------------------------------------------------------

# A reboot: every mapping is forgotten, and they are other ones afterwards.
nat_flush() {
    local edge
    edge=$(nat_edge_of "$1")
    if [ "${nat_kind[$1]}" = edm_portmap ]; then
        lab_kill "portmapper_$edge"
    fi
    nat_seed[$edge]=$((${nat_seed[$edge]:-1} + 1))
    nat_apply "$1"
    lab_exec "$edge" "$LAB_NATPROBE" flush
    if [ "${nat_kind[$1]}" = edm_portmap ]; then
        nat_portmapper "$edge"
    fi
}

# nat_renumber NAME ADDRESS: the provider gives the site another address, and the old one is gone.
nat_renumber() {
    local edge
    edge=$(nat_edge_of "$1")
    ip -n "$edge" -4 address flush dev eth0
    ip -n "$edge" -batch - <<IP
address add $2/24 dev eth0
route add 198.51.100.0/24 dev eth0 src $2
IP
    nat_flush "$1"
}

# nat_swap NAME: the cable is pulled out; another interface comes up in another network of the site.
nat_swap() {
    ip -n "gw_$1" link delete lan
    ip -n "gw_$1" link add lan type veth peer name wlan0 netns "$1"
    ip -n "gw_$1" -batch - <<IP
address add 192.168.7.1/24 dev lan
link set lan up
IP
    ip -n "$1" -batch - <<IP
address add 192.168.7.2/24 dev wlan0
link set wlan0 up
route add default via 192.168.7.1
IP
}

nat_edge_of() {
    if nat_is_double "${nat_kind[$1]}"; then
        echo "isp_$1"
    else
        echo "gw_$1"
    fi
}

# nat_apply NAME: the rules of the site's kind, anew.
nat_apply() {
    local kind=${nat_kind[$1]} edge
    edge=$(nat_edge_of "$1")
    if nat_is_double "$kind"; then
        nat_eim_apdf "gw_$1"
        "nat_behind_${kind#double_}" "$edge"
    else
        "nat_$kind" "$edge"
    fi
}

# --- what they are -------------------------------------------------------------------------------

nat_probe() {
    local name=$1 kind=${nat_kind[$1]}
    if [ "$2" = 4 ] && nat_has_ipv4 "$kind"; then
        echo "4: $(lab_exec "$name" "$LAB_NATPROBE" classify 203.0.113.10:3478)"
    elif [ "$2" = 6 ] && nat_has_ipv6 "$kind"; then
        echo " 6: $(lab_exec "$name" "$LAB_NATPROBE" classify '[2001:db8::10]:3478')"
    fi
}

# --- two nodes -----------------------------------------------------------------------------------

# nat_ini NAME PEER: the node as its site lets it be. Text in LAB_NODE goes into [node].
nat_ini() {
    local name=$1 peer=$2 kind=${nat_kind[$1]} relay=203.0.113.10 stun=${LAB_NODE:-}
    nat_has_ipv4 "$kind" || relay="[2001:db8::10]"
    ! nat_has_ipv4 "$kind" || stun+="\\nstun = 203.0.113.10:3478, 198.51.100.10:3478"
    ! nat_has_ipv6 "$kind" || stun+="\\nstun = [2001:db8::10]:3478"
    lab_ini "$name" "[::]:41000"
    sed -i "s/^log = .*/&\n$stun/" "$LAB/$name.ini"
    cat >>"$LAB/$name.ini" <<INI
[relay main]
url = http://$relay

[peer $peer]
key = ${lab_key[$peer]}
relay = main
INI
}

nat_relay() {
    cat >"$LAB/relay.ini" <<INI
[server]
listen = [::]:80
key = $LAB/relay.key
allow = ${lab_key[home]}
allow = ${lab_key[laptop]}
INI
    nat_relay_start
}

nat_relay_start() {
    lab_spawn relay relay "$ADIT" relay -c "$LAB/relay.ini"
    lab_wait_until 15 lab_listens relay relay 80
}

nat_two() {
    nat_internet
    nat_site home "$1"
    nat_site laptop "$2"
    nat_meet "$(nat_edge_of home)" "$(nat_edge_of laptop)"
    nat_two_nodes
}

nat_two_together() {
    nat_internet
    nat_kind[laptop]=$1
    [ "$2" = bridged ] || nat_apart[gw_home]=yes
    nat_site home "$1"
    nat_namespace laptop
    nat_link gw_home lan2 laptop
    if [ "$2" = bridged ]; then
        nat_bridge gw_home
        ip -n laptop address add 192.168.1.3/24 dev eth0
        ip -n laptop route add default via 192.168.1.1
    else
        ip -n gw_home address add 192.168.2.1/24 dev lan2
        ip -n laptop address add 192.168.2.3/24 dev eth0
        ip -n laptop route add default via 192.168.2.1
    fi
    nat_meet gw_home
    nat_two_nodes
}

# One LAN of a router's two.
nat_bridge() {
    ip -n "$1" -batch - <<'IP'
link add brlan type bridge
link set brlan up
address flush dev lan
link set lan master brlan
link set lan2 master brlan
address add 192.168.1.1/24 dev brlan
IP
}

nat_two_nodes() {
    local name
    for name in home laptop relay; do
        lab_make_key "$name"
    done
    nat_relay
    nat_ini home laptop
    echo "allow = any" >>"$LAB/home.ini"
    nat_ini laptop home
    printf '\n[front]\nlisten = 127.0.0.1:1080\n' >>"$LAB/laptop.ini"
    lab_web
}

nat_relay_is_up() {
    lab_status "$1" 2>/dev/null | jq -e '.relays[0].state == "connected"' >"$LAB/up"
}

nat_two_start() {
    local name
    for name in home laptop; do
        lab_adit "$name"
        lab_wait_until 15 nat_relay_is_up "$name"
    done
}

nat_is_direct() {
    lab_path_is laptop home direct && lab_path_is home laptop direct
}

nat_is_relayed() {
    lab_path_is laptop home relay && lab_path_is home laptop relay
}
