#!/usr/bin/env bash
# A relay that stands still while others flood its clients: its NATS server gives it up, what is lost is
# counted, its memory does not grow, and it heals.
#
#   The network of cluster.bash: home on one, laptop on two; somebody floods laptop's subject.
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"
. "$lab_root/tests/lab/cluster.bash"

# flood COUNT: packets of 8 KiB as if one had them of home.
flood() {
    local process message
    process=$(sed -n '0,/relay_found/s/.*relay_found process=//p' "$LAB/two.log")
    message=0101$(printf %016x "$(date +%s%N)")$process$(hex_of laptop)$(hex_of home)$(printf %016384d 0)
    echo "adit.relay.1.key.$(hex_of laptop) $message $1" |
        lab_exec three python3 "$lab_root/tests/lab/natspub.py" "${address[three]}:4222" relay "$password"
}

hex_of() {
    python3 -c 'import base64, sys; print(base64.urlsafe_b64decode(sys.argv[1] + "=").hex())' "${lab_key[$1]}"
}

lost() {
    [ "$(cluster_counter two cluster_losses_total)" -gt "$1" ]
}

CLUSTER_NATS='max_pending: 1MB
write_deadline: "1s"'
cluster_network
lab_big_file $((16 << 20))
cluster_start
cluster_is_on home one || lab_fail "home is on $(cluster_on home)"
cluster_is_on laptop two || lab_fail "laptop is on $(cluster_on laptop)"

rss=$(lab_rss_kib two)
lab_paced 2
kill -STOP "${lab_pid[two]}"
flood 4000
slow() {
    grep -q 'Slow Consumer' "$LAB"/nats-*.log
}
lab_wait_until 20 slow
kill -CONT "${lab_pid[two]}"
lab_wait_until 20 lost 0
lab_wait_until 20 cluster_counter_is two cluster_up 1
cluster_see_each_other 2
cluster_transferred "a relay stood still, and its NATS server gave it up"
[ "$(lab_rss_kib two)" -lt $((rss + 32768)) ] || lab_fail "two grew from $rss to $(lab_rss_kib two) KiB"

# One that runs takes what it can, and says how much it could not.
before=$(cluster_counter two cluster_losses_total)
lab_paced 2
flood 20000
cluster_transferred "beside a flood of 160 MB"
lab_say "two: $(lab_rss_kib two) KiB, $(cluster_counter two 'cluster_overflow_total{way="in"}') dropped, $(cluster_counter two cluster_slow_total) times slow, $(($(cluster_counter two cluster_losses_total) - before)) times given up"
[ "$(lab_rss_kib two)" -lt $((rss + 65536)) ] || lab_fail "two grew from $rss to $(lab_rss_kib two) KiB"
cluster_see_each_other 2
# A loss may be told each time, what floods may not.
[ "$(grep -c 'cluster trouble' "$LAB/two.log")" -le 8 ] || lab_fail "two repeats itself"
