#!/usr/bin/env bash
# A hard NAT whose router maps ports is reached directly even from behind another hard NAT; the
# mapping is made anew when the router has restarted, and is gone when the node has ended.
#
#   home --- gw_home (random ports; miniupnpd) --- br0 --- gw_laptop (random ports) --- laptop
#   web, exit        speaks one protocol only       |                                   front, curl
#                                                 relay
#
#   tests/lab/portmap.sh             PCP, NAT-PMP and UPnP, side by side
#   tests/lab/portmap.sh PROTOCOL    one: pcp, natpmp, upnp
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

inside=192.168.1.2:41000

is_mapped() {
    [ "$(nat_mapped gw_home)" = "41000 $inside" ] && [ -s "$LAB/gw_home.leases" ]
}

is_said_to_be_mapped() {
    [ "$(lab_status home 2>/dev/null | jq -r .node.nat.portmap)" = "$1" ]
}

# Both ends are direct while something moves, and the laptop's packets go to the mapped port: nothing else lets them in.
is_direct_by_mapping() {
    lab_page_arrives && nat_is_direct && [ "$(lab_peer laptop home .path.address)" = 11.0.113.2:41000 ]
}

download() {
    lab_curl --max-time 30 http://home.peer:8080/big | cmp -s - "$LAB/www/big" ||
        lab_fail "the file did not arrive as it was"
}

one() {
    local protocol=$1
    nat_two edm_portmap edm_random
    head -c $((2 << 20)) /dev/urandom >"$LAB/www/big"
    nat_two_start
    download
    lab_wait_until 20 is_mapped
    lab_wait_until 5 is_said_to_be_mapped "$protocol"
    lab_wait_until 10 is_direct_by_mapping
    lab_say "direct by $protocol"

    nat_flush home
    ! is_mapped || lab_fail "the router restarted and still knows the mapping"
    lab_say "the router has restarted"
    download
    lab_wait_until 30 is_mapped
    lab_wait_until 30 is_direct_by_mapping
    download
    assert_path laptop home direct
    lab_say "mapped and direct again"

    lab_stop home
    [ -z "$(nat_mapped gw_home)" ] || lab_fail "left in the router: $(nat_mapped gw_home)"
    [ ! -s "$LAB/gw_home.leases" ] || lab_fail "left in the leases: $(cat "$LAB/gw_home.leases")"
    lab_say "given back at the end"
}

if [ $# -eq 1 ]; then
    NAT_PORTMAP=$1
    . "$here/lab.sh"
    . "$here/nat.sh"
    nat_has_portmapper || lab_skip "no miniupnpd here ($NAT_MINIUPNPD)"
    one "$1"
    exit
fi

# --- all of them ---------------------------------------------------------------------------------

portmap_out=$(mktemp -d "${TMPDIR:-/tmp}/portmap.XXXXXX")
trap 'rm -rf "$portmap_out"' EXIT
for protocol in pcp natpmp upnp; do
    {
        status=0
        timeout -k 5 120 bash "${BASH_SOURCE[0]}" "$protocol" >"$portmap_out/$protocol" 2>&1 || status=$?
        echo "$status" >"$portmap_out/$protocol.status"
    } &
done
wait
bad=0
for protocol in pcp natpmp upnp; do
    status=$(cat "$portmap_out/$protocol.status")
    if [ "$status" -eq 77 ]; then
        cat "$portmap_out/$protocol" >&2
        exit 77
    fi
    printf '\n== %s: exit status %d\n' "$protocol" "$status"
    cat "$portmap_out/$protocol"
    [ "$status" -eq 0 ] || bad=$((bad + 1))
done
exit "$bad"
