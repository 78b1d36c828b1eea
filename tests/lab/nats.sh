#!/usr/bin/env bash
# Each NAT of the lab is what its name says: mapping and filtering as RFC 5780 finds them out.
#
#   home --- gw_home (each kind in turn) --- br0 --- relay: STUN on two addresses and two ports,
#                                                    web on TCP 80 and 8000
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"
. "$(dirname "${BASH_SOURCE[0]}")/nat.sh"

declare -A expected=(
    [public]="4: udp=yes mapping=none ports=kept filtering=EIF stray=same"
    [eim_eif]="4: udp=yes mapping=EIM ports=moved filtering=EIF stray=same"
    [eim_adf]="4: udp=yes mapping=EIM ports=moved filtering=ADF stray=same"
    [eim_apdf]="4: udp=yes mapping=EIM ports=moved filtering=APDF stray=same"
    [edm_random]="4: udp=yes mapping=APDM ports=random filtering=APDF stray=moved"
    [edm_sequential]="4: udp=yes mapping=APDM ports=sequential filtering=APDF stray=moved"
    [double_eim]="4: udp=yes mapping=EIM ports=moved filtering=APDF stray=same"
    [double_edm]="4: udp=yes mapping=APDM ports=random filtering=APDF stray=moved"
    [v6_firewall]=" 6: udp=yes mapping=none ports=kept filtering=APDF stray=same"
    [dual_hard4]="4: udp=yes mapping=APDM ports=random filtering=APDF stray=moved"
    [edm_portmap]="4: udp=yes mapping=APDM ports=random filtering=APDF stray=moved"
    [udp_blocked]="4: udp=no"
    [tcp_80_443_only]="4: udp=no"
)
for kind in "${!expected[@]}"; do
    case $kind in
    v6_firewall) ;; # the web server speaks IPv4
    tcp_80_443_only) expected[$kind]+=" tcp=80" ;;
    *) expected[$kind]+=" tcp=80,8000" ;;
    esac
done
expected[public]+=" 6: udp=yes mapping=none ports=kept filtering=EIF stray=same"
expected[dual_hard4]+=" 6: udp=yes mapping=none ports=kept filtering=APDF stray=same"

# The ports of the relay's host that TCP reaches.
tcp_ports() {
    local port ports=""
    for port in 80 8000; do
        ! lab_exec home curl -s --max-time 0.3 -o "$LAB/page" "http://203.0.113.10:$port/" || ports+=",$port"
    done
    echo "tcp=${ports#,}"
}

nat_internet
mkdir "$LAB/www"
for port in 80 8000; do
    lab_spawn "web$port" relay "$LAB_WEBSERVER" 0.0.0.0 "$port" "$LAB/www"
    lab_wait_until 10 lab_listens "web$port" relay "$port"
done
wrong=0
for kind in "${nat_kinds[@]}"; do
    if [ "$kind" = edm_portmap ] && ! nat_has_portmapper; then
        absent="no miniupnpd here ($NAT_MINIUPNPD), so edm_portmap was not looked at; the others are right"
        continue
    fi
    nat_site home "$kind"
    found=$(nat_probe home 4)
    [ "$kind" = v6_firewall ] || found+=" $(tcp_ports)"
    found+=$(nat_probe home 6)
    lab_say "$(printf '%-16s %s' "$kind" "$found")"
    if [ "$found" != "${expected[$kind]}" ]; then
        printf '        %-16s %s\n' "but expected" "${expected[$kind]}"
        wrong=$((wrong + 1))
    fi
    nat_remove home
done
[ "$wrong" -eq 0 ] || lab_fail "$wrong kinds of NAT are not what their names say"
[ -z "${absent:-}" ] || lab_skip "$absent"
