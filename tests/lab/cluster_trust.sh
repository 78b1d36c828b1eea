#!/usr/bin/env bash
# Somebody else publishes on the NATS servers of a cluster: garbage, floods, what is far too long, and
# forged presence. Relays with a cluster_secret pass over it; one without believes it.
#
#   The network of cluster.bash. one and two have the secret, home and laptop are their clients;
#   three has none, and guest 10.77.0.5 is its client.
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"
. "$lab_root/tests/lab/cluster.bash"

hex_of() {
    python3 -c 'import base64, sys; print(base64.urlsafe_b64decode(sys.argv[1] + "=").hex())' "$1"
}

# message_head TYPE: of a message of a process that nobody has heard of, in hex.
message_head() {
    printf '01%02x%016x%016x' "$1" "$(date +%s%N)" 4711
}

# forge SUBJECT HEX [TIMES]
forge() {
    echo "$@" | lab_exec three python3 "$lab_root/tests/lab/natspub.py" "${address[three]}:4222" relay "$password"
}

# A claim that KEY is connected elsewhere since a moment from now.
forge_claim() {
    forge adit.relay.1.all "$(message_head 5)$(hex_of "$1")$(printf %016x $(($(date +%s%N) + 1000000000)))"
}

forged_at_least() {
    [ "$(cluster_counter "$1" cluster_forged_total 2>>"$LAB/curl.log")" -ge "$2" ]
}

moved() {
    cluster_counter "$1" cluster_moved_total
}

cluster_network
lab_big_file $((8 << 20))
lab_make_key guest
lab_make_key secret
lab_host guest 10.77.0.5
lab_ini guest 10.77.0.5:41000
printf '[relay main]\nurl = http://%s:3340\n\n[peer home]\nkey = %s\nrelay = main\n' \
    "${address[three]}" "${lab_key[home]}" >>"$LAB/guest.ini"
for name in "${relays[@]}"; do
    cluster_start_nats "$name"
done
CLUSTER_INI="cluster_secret = $LAB/secret.key"
cluster_start_relay one
cluster_start_relay two
CLUSTER_INI="allow = ${lab_key[guest]}"
cluster_start_relay three
lab_wait_until 20 cluster_counter_is one cluster_relays 1
lab_wait_until 20 cluster_counter_is two cluster_relays 1
lab_adit home
lab_adit laptop
lab_first_page
cluster_is_on home one || lab_fail "home is on $(cluster_on home)"
cluster_is_on laptop two || lab_fail "laptop is on $(cluster_on laptop)"
lab_spawn guest guest "$ADIT" run -c "$LAB/guest.ini"
lab_wait_until 15 cluster_counter_is three clients 1

# Sealed and not: neither believes the other, and the log says so.
lab_wait_until 10 forged_at_least one 1
lab_wait_until 10 grep -q 'cluster trouble .*cluster_secret' "$LAB/one.log"
[ "$(cluster_counter three cluster_relays)" = 0 ] || lab_fail "three believes the others"
[ "$(cluster_counter three cluster_unknown_total)" -gt 0 ] || lab_fail "three does not count them"
lab_say "one and two know each other, and not three"

forge_claim "${lab_key[guest]}"
lab_wait_until 10 cluster_counter_is three cluster_moved_total 1
lab_say "without the secret a forged claim takes a key"

before=$(cluster_counter one cluster_forged_total)
rss=$(lab_rss_kib one)
lab_paced 2
forge_claim "${lab_key[home]}"
forge_claim "${lab_key[laptop]}"
home=$(hex_of "${lab_key[home]}") laptop=$(hex_of "${lab_key[laptop]}")
forge "adit.relay.1.all" "$(message_head 6)$home$laptop"
forge "adit.relay.1.all" "$(message_head 7)"
forge "adit.relay.1.key.$home" "$(message_head 1)$home${laptop}0102" 2000
forge "adit.relay.1.key.$home" 00 2000
forge "adit.relay.1.key.not-a-key" 01
forge "adit.relay.1.elsewhere" 01
forge "adit.relay.1.all" @900000 50
lab_wait_until 20 forged_at_least one $((before + 4004))
cluster_transferred "beside forged claims, 4,000 small messages and 50 of 900,000 bytes"
for name in one two; do
    [ "$(moved "$name")" = 0 ] || lab_fail "$name believed a claim"
    cluster_counter_is "$name" cluster_relays 1 || lab_fail "$name lost the other"
done
cluster_is_on home one || lab_fail "home is on $(cluster_on home)"
cluster_is_on laptop two || lab_fail "laptop is on $(cluster_on laptop)"
[ "$(lab_rss_kib one)" -lt $((rss + 65536)) ] || lab_fail "one grew from $rss to $(lab_rss_kib one) KiB"
[ "$(grep -c 'cluster trouble .*cluster_secret' "$LAB/one.log")" -eq 1 ] || lab_fail "one says it more than once"
