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

command -v nats-server >/dev/null || lab_skip "there is no nats-server here"
ldd "$ADIT" | grep -q libnats || lab_skip "adit was built without cnats"

relays=(one two three)
declare -A address=([one]=10.77.0.11 [two]=10.77.0.12 [three]=10.77.0.13)
password=a-secret-of-the-lab

start_nats() {
    local name=$1 other routes=
    for other in "${relays[@]}"; do
        [ "$other" = "$name" ] || routes+="nats://${address[$other]}:6222,"
    done
    lab_spawn "nats-$name" "$name" nats-server -a "${address[$name]}" -p 4222 \
        --user relay --pass "$password" --cluster_name lab \
        --cluster "nats://${address[$name]}:6222" --routes "${routes%,}"
}

start_relay() {
    local name=$1 other urls="nats://relay:$password@${address[$1]}:4222"
    for other in "${relays[@]}"; do
        [ "$other" = "$name" ] || urls+=", nats://relay:$password@${address[$other]}:4222"
    done
    cat >"$LAB/$name.ini" <<INI
[server]
listen = ${address[$name]}:3340
key = $LAB/relay.key
allow = ${lab_key[home]}
allow = ${lab_key[laptop]}
metrics = 10.77.0.0/24
cluster = $urls
INI
    lab_relay "$name"
}

# counter RELAY NAME: a line of its /metrics; the name may have labels.
counter() {
    lab_exec "$1" curl -sS --max-time 5 "http://${address[$1]}:3340/metrics" |
        sed -n "s/^adit_relay_$2 //p"
}

counter_is() {
    [ "$(counter "$1" "$2" 2>>"$LAB/curl.log")" = "$3" ]
}

# Every relay that runs sees this many others.
see_each_other() {
    local name
    for name in "${relays[@]}"; do
        [ -z "${lab_pid[$name]:-}" ] || lab_wait_until 20 counter_is "$name" cluster_relays "$1"
    done
}

# on NODE: the relay that it is connected to.
on() {
    local name
    for name in "${relays[@]}"; do
        if [ -n "$(lab_exec "$1" ss -Htn state established "dst ${address[$name]}:3340")" ]; then
            echo "$name"
        fi
    done
}

is_on() {
    [ "$(on "$1")" = "$2" ]
}

assert_relayed() {
    assert_path laptop home relay
    assert_path home laptop relay
    [ "$(lab_peer laptop home .path.relay)" = main ] || lab_fail "the relay is not main"
}

# start_transfer SECONDS: the big file, at a rate that takes about so long.
start_transfer() {
    rm -f "$LAB/begun" "$LAB/transfer.log"
    PACED_BEGUN=$LAB/begun lab_spawn transfer laptop python3 "$lab_root/tests/lab/paced.py" \
        127.0.0.1:1080 home.peer 8080 /big $((LAB_BIG / $1))
    lab_wait_until 20 test -e "$LAB/begun"
}

# Until the transfer has ended well; prints the longest time in which nothing came.
finish_transfer() {
    local what=$1 sum pause
    lab_wait_until 60 lab_is_dead transfer
    lab_join transfer || lab_fail "$what: the transfer broke: $(cat "$LAB/transfer.log")"
    read -r sum pause <"$LAB/transfer.log"
    [ "$sum" = "${LAB_BIG_SUM%% *}" ] || lab_fail "$what: the file arrived changed"
    lab_say "$what: hash equal, longest pause $pause ms"
    assert_relayed
}

lab_three
lab_big_file $((32 << 20))
for name in "${relays[@]}"; do
    lab_host "$name" "${address[$name]}"
    echo "${address[$name]} relay.test" >>"$LAB/hosts"
done
for name in two three one; do
    echo "${address[$name]} again.test" >>"$LAB/hosts"
done
sed -i 's|^url = .*|url = http://relay.test:3340|' "$LAB/home.ini"
sed -i 's|^url = .*|url = http://again.test:3340|; /^endpoint = /d' "$LAB/laptop.ini"
lab_drop_udp home laptop
for name in "${relays[@]}"; do
    start_nats "$name"
    start_relay "$name"
done
see_each_other 2
lab_adit home
lab_adit laptop
lab_first_page
is_on home one || lab_fail "home is on $(on home)"
is_on laptop two || lab_fail "laptop is on $(on laptop)"
lab_say "one -> NATS -> two"
before=$(counter one 'cluster_bytes_total{way="out"}')
lab_steady laptop home lab_download
assert_relayed
after=$(counter one 'cluster_bytes_total{way="out"}')
[ $((after - before)) -gt "$LAB_BIG" ] || lab_fail "only $((after - before)) bytes took the cluster"
counter_is three 'cluster_packets_total{way="in"}' 0 || lab_fail "three took part"

start_transfer 2
finish_transfer "nobody is killed"

start_transfer 3
lab_kill nats-one
finish_transfer "kill -9 of the NATS server of home's relay"
is_on home one || lab_fail "home has moved with it"
start_nats one

start_transfer 3
lab_kill nats-two
finish_transfer "kill -9 of that of laptop's"
start_nats two

start_transfer 3
lab_kill one
finish_transfer "kill -9 of home's relay"
now_on=$(on home)
[ "$now_on" != one ] || lab_fail "home is on what is dead"
see_each_other 1
lab_say "home is on $now_on"
start_relay one
see_each_other 2

start_transfer 3
lab_kill two
finish_transfer "kill -9 of laptop's relay"
lab_say "laptop is on $(on laptop), home on $(on home)"
start_relay two
see_each_other 2

# Without NATS: who is on one relay still meets there.
lab_stop laptop
sed -i "s|^url = .*|url = http://${address[$(on home)]}:3340|" "$LAB/laptop.ini"
for name in "${relays[@]}"; do
    lab_kill "nats-$name"
done
for name in "${relays[@]}"; do
    lab_wait_until 20 counter_is "$name" cluster_up 0
done
lab_adit laptop
lab_first_page
[ "$(on laptop)" = "$(on home)" ] || lab_fail "laptop is on $(on laptop)"
lab_download
assert_relayed
lab_say "without NATS, on one relay"

# The rest heals by itself.
for name in "${relays[@]}"; do
    start_nats "$name"
done
see_each_other 2
lab_stop laptop
for name in "${relays[@]}"; do
    is_on home "$name" || sed -i "s|^url = .*|url = http://${address[$name]}:3340|" "$LAB/laptop.ini"
done
lab_adit laptop
lab_first_page
[ "$(on laptop)" != "$(on home)" ] || lab_fail "both are on $(on home)"
start_transfer 3
lab_stop "$(on home)"
finish_transfer "NATS is back; SIGTERM to home's relay"
! grep -l "$password" "$LAB"/*.log || lab_fail "a log tells the password"
