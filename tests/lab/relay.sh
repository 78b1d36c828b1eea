#!/usr/bin/env bash
# The same where no UDP gets through: everything goes through the relay, and arrives.
#
#   home 10.77.0.2 -X-+-X- laptop 10.77.0.3        X = nft drops arriving UDP
#   web, exit         |    front, curl
#                     +--- relay 10.77.0.4
#
# Alone: it moves as much as the cores can.
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

lab_three
lab_big_file $((1 << 30))
lab_drop_udp home laptop
lab_three_start
lab_first_page
assert_path laptop home relay
relayed=$(lab_cable_bytes relay)

lab_steady laptop home lab_download
assert_path laptop home relay
relayed=$(($(lab_cable_bytes relay) - relayed))
[ "$relayed" -gt $((2 * LAB_BIG)) ] || lab_fail "only $relayed bytes crossed the relay's cable"

lab_steady laptop home lab_upload $((256 << 20))
lab_steady laptop home lab_many 200 $((100 << 10))
assert_path laptop home relay
assert_path home laptop relay
