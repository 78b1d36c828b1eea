#!/usr/bin/env bash
# Jumbo frames: over a network of MTU 9000 packets become as large as that.
# What happens where a part of the way takes less is sim_mtu's: a bridge lets batches through that the system
# has not cut yet, however large their packets are.
#
#   home 10.77.0.2 ---+--- laptop 10.77.0.3        every cable 9000
#   web, exit         |    front, curl
#                     +--- relay 10.77.0.4
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

readonly LARGEST=$((9000 - 28))

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
# A search takes round trips, and data on the way meanwhile.
has_grown() {
    [ "$(path_mtu home laptop)" -eq $LARGEST ] || { lab_download && false; }
}
lab_wait_until 20 has_grown
assert_path home laptop direct
lab_say "packets of $LARGEST bytes"

for name in laptop home relay; do
    lab_stop "$name"
done
