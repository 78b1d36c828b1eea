#!/usr/bin/env bash
# A way on which batches (UDP_SEGMENT) get lost without an error, as with some kernels and devices:
# home finds that out by itself, goes on without them and says so, and the downloads that run
# meanwhile come to their end. Later ones send no batch any more.
#
#   home 10.77.0.2 ---+--- X laptop 10.77.0.3      X = UDP packets larger than the cable's MTU are
#   web, exit         |      front, curl           dropped on arrival: on a veth cable those are
#                     +--- relay 10.77.0.4         batches that nobody has cut up yet
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

lab_three
lab_big_file $((128 << 20))
lab_three_start
lab_first_page
lab_await_path laptop home direct

lab_exec laptop nft -f - <<NFT
table inet lab_spoil {
    chain spoil {
        type filter hook input priority 0; policy accept;
        meta l4proto udp meta length > 1500 counter drop
    }
}
NFT
spoiled() {
    lab_exec laptop nft -j list table inet lab_spoil | jq '[.. | .counter? // empty | .packets] | add'
}

settled() {
    grep -q batches_lost "$LAB/home.log"
}

for ((i = 0; i < 12; i++)); do
    settled || lab_steady laptop home lab_download
done
settled || lab_fail "home has not found out"
assert_path laptop home direct
[ "$(spoiled)" -gt 0 ] || lab_fail "no batch was spoiled: this proves nothing"
lab_say "$(spoiled) batches were lost before $(grep -c batches_off "$LAB/home.log") trials settled it"

before=$(spoiled)
lab_steady laptop home lab_download
assert_path laptop home direct
[ "$(spoiled)" -eq "$before" ] || lab_fail "home still sends batches"

for name in laptop home relay; do
    lab_stop "$name"
done
