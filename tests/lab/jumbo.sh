#!/usr/bin/env bash
# Jumbo frames: over a network of MTU 9000 packets become as large as that, within the first megabytes;
# and when a part of the way is not, bulk goes on all the same.
#
#   home 10.77.0.2 ---+--- laptop 10.77.0.3        every cable 9000, then laptop's 1500 at the bridge
#   web, exit         |    front, curl
#                     +--- relay 10.77.0.4
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

readonly LARGEST=$((9000 - 28)) ETHERNET=$((1500 - 28))

path_mtu() {
    lab_peer "$1" "$2" '.path.mtu?'
}

lab_three
for name in home laptop relay; do
    lab_exec "$name" ip link set eth0 mtu 9000
    lab_exec hub ip link set "$name" mtu 9000
done
lab_big_file $((48 << 20))
lab_three_start
lab_first_page
lab_await_path laptop home direct
lab_steady laptop home lab_download
assert_path home laptop direct
[ "$(path_mtu home laptop)" -eq $LARGEST ] ||
    lab_fail "packets of $(path_mtu home laptop) bytes and not $LARGEST after $LAB_BIG bytes"
lab_say "packets of $LARGEST bytes"

# Nobody says so: a bridge drops what is too large for the port.
lab_exec hub ip link set laptop mtu 1500
lab_download
[ "$(path_mtu home laptop)" -le $ETHERNET ] ||
    lab_fail "packets of $(path_mtu home laptop) bytes got through a port of 1500"
lab_say "packets of $(path_mtu home laptop) bytes behind a port of 1500"
assert_path laptop home direct

for name in laptop home relay; do
    lab_stop "$name"
done
