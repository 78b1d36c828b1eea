#!/usr/bin/env bash
# A cluster: three relays behind one name, each with a NATS server beside it; kill -9 of any of them
# in the middle of a transfer.
#
#   home 10.77.0.2 -X-+-X- laptop 10.77.0.3          X = arriving UDP is dropped
#   web, exit         |    front, curl
#                     +--- one   10.77.0.11  adit relay, nats-server
#                     +--- two   10.77.0.12  adit relay, nats-server
#                     '--- three 10.77.0.13  adit relay, nats-server
#
# Both nodes know the relay by one name with three addresses: home begins with one's, laptop with
# two's. So what they say to each other goes one -> NATS -> two.
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

. "$lab_root/tests/lab/cluster.bash"

cluster_network
lab_big_file $((32 << 20))
cluster_start
cluster_is_on home one || lab_fail "home is on $(cluster_on home)"
cluster_is_on laptop two || lab_fail "laptop is on $(cluster_on laptop)"
lab_say "one -> NATS -> two"
before=$(cluster_counter one 'cluster_bytes_total{way="out"}')
lab_steady laptop home lab_download
cluster_assert_relayed
after=$(cluster_counter one 'cluster_bytes_total{way="out"}')
[ $((after - before)) -gt "$LAB_BIG" ] || lab_fail "only $((after - before)) bytes took the cluster"
cluster_counter_is three 'cluster_packets_total{way="in"}' 0 || lab_fail "three took part"

lab_paced 2
cluster_transferred "nobody is killed"

lab_paced 2
kill -HUP "${lab_pid[one]}" "${lab_pid[two]}"
cluster_transferred "SIGHUP to both relays"
for name in one two; do
    lab_wait_until 10 cluster_counter_is "$name" reloads_total 1
    cluster_counter_is "$name" logins_total 1 || lab_fail "a reload of $name made its client log in again"
done

lab_paced 3
lab_kill nats-one
cluster_transferred "kill -9 of the NATS server of home's relay"
cluster_is_on home one || lab_fail "home has moved with it"
cluster_start_nats one

lab_paced 3
lab_kill nats-two
cluster_transferred "kill -9 of that of laptop's"
cluster_start_nats two

lab_paced 3
lab_kill one
cluster_transferred "kill -9 of home's relay"
now_on=$(cluster_on home)
[ "$now_on" != one ] || lab_fail "home is on what is dead"
cluster_see_each_other 1
lab_say "home is on $now_on"
cluster_start_relay one
cluster_see_each_other 2

lab_paced 3
lab_kill two
cluster_transferred "kill -9 of laptop's relay"
lab_say "laptop is on $(cluster_on laptop), home on $(cluster_on home)"
cluster_start_relay two
cluster_see_each_other 2

# Without NATS: who is on one relay still meets there.
lab_stop laptop
sed -i "s|^url = .*|url = http://${address[$(cluster_on home)]}:3340|" "$LAB/laptop.ini"
for name in "${relays[@]}"; do
    lab_kill "nats-$name"
done
for name in "${relays[@]}"; do
    lab_wait_until 20 cluster_counter_is "$name" cluster_up 0
done
lab_adit laptop
lab_first_page
[ "$(cluster_on laptop)" = "$(cluster_on home)" ] || lab_fail "laptop is on $(cluster_on laptop)"
lab_download
cluster_assert_relayed
lab_say "without NATS, on one relay"

# The rest heals by itself.
for name in "${relays[@]}"; do
    cluster_start_nats "$name"
done
cluster_see_each_other 2
lab_stop laptop
for name in "${relays[@]}"; do
    cluster_is_on home "$name" || sed -i "s|^url = .*|url = http://${address[$name]}:3340|" "$LAB/laptop.ini"
done
lab_adit laptop
lab_first_page
[ "$(cluster_on laptop)" != "$(cluster_on home)" ] || lab_fail "both are on $(cluster_on home)"
lab_paced 3
lab_stop "$(cluster_on home)"
cluster_transferred "NATS is back; SIGTERM to home's relay"
! grep -l "$password" "$LAB"/*.log || lab_fail "a log tells the password"
