#!/usr/bin/env bash
# Bulk over the direct path: what arrives is what was sent, and the relay carries none of it.
#
#   home 10.77.0.2 ---+--- laptop 10.77.0.3        endpoint of home configured
#   web, exit         |    front, curl
#                     +--- relay 10.77.0.4
#
# Alone: it moves as much as the cores can.
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

lab_three
lab_big_file $((1 << 30))
lab_three_start
lab_first_page
lab_await_path laptop home direct
relayed=$(lab_cable_bytes relay)

lab_steady laptop home lab_download
assert_path laptop home direct
lab_steady laptop home lab_upload $((256 << 20))
assert_path laptop home direct
assert_path home laptop direct
lab_steady laptop home lab_many 200 $((100 << 10))
assert_path laptop home direct

relayed=$(($(lab_cable_bytes relay) - relayed))
[ "$relayed" -lt $((16 << 20)) ] || lab_fail "$relayed bytes crossed the relay's cable"
lab_say "$relayed bytes crossed the relay's cable"

for name in laptop home relay; do
    lab_stop "$name"
done
