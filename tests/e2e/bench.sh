#!/usr/bin/env bash
# adit bench: what it says went over a path did go there, by the kernel's counters.
#
#   home 10.77.0.2 ---+--- laptop 10.77.0.3      home lets itself be measured, laptop does not
#                     +--- relay  10.77.0.4
. "$(dirname "${BASH_SOURCE[0]}")/../lab/lab.sh"

readonly EX_USAGE=64 EX_NOHOST=68 EX_UNAVAILABLE=69

# expect STATUS NODE ARGUMENT...: adit bench at NODE; what it says goes to $LAB/said.
expect() {
    local wanted=$1 node=$2 status=0
    shift 2
    timeout 90 "$ADIT" bench "$@" -c "$LAB/$node.ini" >"$LAB/said" 2>"$LAB/complaint" || status=$?
    [ "$status" -eq "$wanted" ] ||
        lab_fail "bench $*: status $status, not $wanted: $(cat "$LAB/said" "$LAB/complaint")"
    lab_say "bench $*: $(tail -n 1 "$LAB/said" "$LAB/complaint" | tr '\n' ' ')"
}

complains() {
    grep -qE -- "$1" "$LAB/complaint" || lab_fail "no complaint of $1: $(cat "$LAB/complaint")"
}

# total: bytes of both directions.
total() {
    jq '[.directions[].bytes] | add' "$LAB/said"
}

lab_three
sed -i 's/^log = info$/&\nbench = yes/' "$LAB/home.ini"
lab_three_start
lab_first_page
lab_await_path laptop home direct

relayed=$(lab_cable_bytes relay) carried=$(lab_cable_bytes home)
expect 0 laptop home --seconds 1 --json
relayed=$(($(lab_cable_bytes relay) - relayed)) carried=$(($(lab_cable_bytes home) - carried))
jq -e '.ciphers.chacha20poly1305_bytes_per_s > 1e6 and (.directions | length == 2) and
    all(.directions[]; .path.kind == "direct" and .path.address == "10.77.0.2:41000" and
        .bytes > 1e6 and .took_us > 9e5 and .bits_per_s > 1e6 and .round_trips.count > 0 and
        (.aead == "aes256gcm" or .aead == "chacha20poly1305"))' "$LAB/said" >/dev/null ||
    lab_fail "JSON: $(cat "$LAB/said")"
[ "$carried" -gt "$(total)" ] || lab_fail "$carried bytes on the cable, $(total) said"
[ "$relayed" -lt 100000 ] || lab_fail "$relayed bytes crossed the relay's cable"

# Bound to the relay although the direct path is in use.
relayed=$(lab_cable_bytes relay) direct=$(lab_cable_bytes laptop)
expect 0 laptop home --seconds 1 --path relay --json
relayed=$(($(lab_cable_bytes relay) - relayed)) direct=$(($(lab_cable_bytes laptop) - direct))
[ "$relayed" -gt $((2 * $(total))) ] || lab_fail "$relayed bytes by the relay, $(total) said"
[ "$direct" -lt "$relayed" ] || lab_fail "as much went directly"
assert_path laptop home direct

expect 0 laptop home --seconds 1
cat "$LAB/said"
grep -qE '^  to it +over direct 10\.77\.0\.2:41000: [0-9.]+ Mbit/s' "$LAB/said" ||
    lab_fail "not for people: $(cat "$LAB/said")"
grep -qE '^home: (AES-256-GCM|ChaCha20-Poly1305), since ' "$LAB/said" || lab_fail "no cipher"

expect "$EX_UNAVAILABLE" home laptop --seconds 1
complains 'does not let itself be measured'
expect "$EX_NOHOST" laptop stranger
expect "$EX_USAGE" laptop home --seconds 11
expect "$EX_USAGE" laptop home --path somewhere

# Without a direct path what is bound to one waits, and is given up in time.
lab_drop_udp home laptop
lab_first_page
lab_await_path laptop home relay
expect "$EX_UNAVAILABLE" laptop home --seconds 1 --path direct
complains 'no path to the peer'
