# Three relays behind one name, each with a NATS server beside it (bash, sourced after lab.sh).
#
#   home 10.77.0.2 -X-+-X- laptop 10.77.0.3          X = arriving UDP is dropped
#   web, exit         |    front, curl
#                     +--- one   10.77.0.11  adit relay, nats-server
#                     +--- two   10.77.0.12  adit relay, nats-server
#                     '--- three 10.77.0.13  adit relay, nats-server
#
# Both nodes know the relay by one name with three addresses: home begins with one's, laptop with
# two's. So what they say to each other goes one -> NATS -> two.

command -v nats-server >/dev/null || lab_skip "there is no nats-server here"
[[ $(ldd "$ADIT") == *libnats* ]] || lab_skip "adit was built without cnats"

relays=(one two three)
declare -A address=([one]=10.77.0.11 [two]=10.77.0.12 [three]=10.77.0.13)
password=a-secret-of-the-lab

# Lines in CLUSTER_NATS go into each server's configuration.
cluster_start_nats() {
    local name=$1 other routes=
    for other in "${relays[@]}"; do
        [ "$other" = "$name" ] || routes+="nats://${address[$other]}:6222,"
    done
    echo "${CLUSTER_NATS:-}" >"$LAB/nats.conf"
    lab_spawn "nats-$name" "$name" nats-server -c "$LAB/nats.conf" -a "${address[$name]}" -p 4222 \
        --user relay --pass "$password" --cluster_name lab \
        --cluster "nats://${address[$name]}:6222" --routes "${routes%,}"
}

# Keys in CLUSTER_INI go into each relay's [server].
cluster_start_relay() {
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
${CLUSTER_INI:-}
INI
    chmod 600 "$LAB/$name.ini" # there is a password in it
    lab_relay "$name"
}

cluster_network() {
    local name
    lab_three
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
}

cluster_start() {
    local name
    for name in "${relays[@]}"; do
        cluster_start_nats "$name"
        cluster_start_relay "$name"
    done
    cluster_see_each_other 2
    lab_adit home
    lab_adit laptop
    lab_first_page
}

# cluster_counter RELAY NAME: a line of its /metrics; the name may have labels.
cluster_counter() {
    lab_exec "$1" curl -sS --max-time 5 "http://${address[$1]}:3340/metrics" |
        sed -n "s/^adit_relay_$2 //p"
}

cluster_counter_is() {
    [ "$(cluster_counter "$1" "$2" 2>>"$LAB/curl.log")" = "$3" ]
}

# Every relay that runs sees this many others.
cluster_see_each_other() {
    local name
    for name in "${relays[@]}"; do
        [ -z "${lab_pid[$name]:-}" ] ||
            lab_wait_until 20 cluster_counter_is "$name" cluster_relays "$1"
    done
}

# cluster_connected MACHINE PORT: the one of the three that it is connected to there.
cluster_connected() {
    local name
    for name in "${relays[@]}"; do
        if [ -n "$(lab_exec "$1" ss -Htn state established "dst ${address[$name]}:$2")" ]; then
            echo "$name"
        fi
    done
}

# cluster_on NODE: the relay that it is connected to.
cluster_on() {
    cluster_connected "$1" 3340
}

cluster_is_on() {
    [ "$(cluster_on "$1")" = "$2" ]
}

cluster_assert_relayed() {
    lab_await_path laptop home relay
    lab_await_path home laptop relay
    [ "$(lab_peer laptop home .path.relay)" = main ] || lab_fail "the relay is not main"
}

# cluster_transferred WHAT: the end of lab_paced.
cluster_transferred() {
    lab_paced_end "$1"
    lab_say "$1: hash equal, longest pause $lab_pause ms"
    cluster_assert_relayed
}

# cluster_nats_of RELAY: the machine whose NATS server it is connected to.
cluster_nats_of() {
    cluster_connected "$1" 4222
}
