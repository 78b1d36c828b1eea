#!/usr/bin/env bash
# A relay at work: HTTP questions, counters, reloads and the end, while home and laptop use it.
#
#   home 10.77.0.2      laptop 10.77.0.3      relay 10.77.0.4
#   web :8080           front :1080           adit relay :3340, and on loopback
#        |                   |                     |
#        +--- UDP is lost ---+---------------------+
. "$(dirname "${BASH_SOURCE[0]}")/../lab/lab.sh"

readonly relay=10.77.0.4:3340

# relay_ini KEY LINE...: admits KEY and home.
relay_ini() {
    {
        printf '[server]\nlisten = %s\nlisten = 127.0.0.1:3340\nkey = %s/relay.key\n' "$relay" "$LAB"
        printf 'allow = %s\nallow = %s\n' "${lab_key[home]}" "$1"
        shift
        [ $# -eq 0 ] || printf '%s\n' "$@"
    } >"$LAB/relay.ini"
}

# logged TEXT COUNT: has the relay said it so many times?
logged() {
    [ "$(grep -cF -- "$1" "$LAB/relay.log")" -ge "$2" ]
}

reload() {
    kill -HUP "${lab_pid[relay]}"
    lab_wait_until 10 logged "$1" "$2"
}

# metric NAME: its value, as the relay's own machine may read it.
metric() {
    lab_exec relay curl -sS --fail --max-time 5 http://127.0.0.1:3340/metrics |
        sed -n "s/^adit_relay_$1 //p"
}

# status FROM CURL-ARGUMENT...: the HTTP status that FROM gets.
status() {
    lab_exec "$1" curl -sS --max-time 5 -o /dev/null -w '%{http_code}' "${@:2}"
}

expect() {
    [ "$1" = "$2" ] || lab_fail "$3: $1 and not $2"
}

relay_ended() {
    lab_is_dead relay
}

lab_three
sed -i '/^endpoint/d' "$LAB/laptop.ini"
relay_ini "${lab_key[laptop]}"
lab_drop_udp home laptop
lab_three_start
lab_first_page
assert_path laptop home relay
lab_big_file 30000000

# HTTP.
expect "$(status laptop "http://$relay/")" 200 home
expect "$(status laptop -I "http://$relay/derp/probe")" 200 HEAD
expect "$(status laptop -0 "http://$relay/healthz")" 200 HTTP/1.0
expect "$(status laptop "http://$relay/generate_204")" 204 generate_204
expect "$(status laptop "http://$relay/derp")" 426 "no upgrade"
expect "$(status laptop "http://$relay/nothing")" 404 "no such page"
expect "$(status laptop -X DELETE "http://$relay/")" 405 DELETE
expect "$(status laptop -H "X: $(head -c 9000 /dev/zero | tr '\0' x)" "http://$relay/")" 431 "long header"
expect "$(status laptop "http://$relay/metrics")" 403 "metrics from elsewhere"
expect "$(metric clients)" 2 clients
lab_say "HTTP answers"

# What is under way notices neither a reload nor a fault in the ini.
lab_exec laptop curl -sS --fail --limit-rate 4M --max-time 120 --socks5-hostname 127.0.0.1:1080 \
    http://home.peer:8080/big >"$LAB/down" &
lab_pid[curl]=$!
has_begun() {
    [ -s "$LAB/down" ]
}
lab_wait_until 20 has_begun
relay_ini "${lab_key[laptop]}" "metrics = 10.77.0.3" "queue_packets = 256"
reload "app reloaded" 1
expect "$(status laptop "http://$relay/metrics")" 200 "metrics from a listed address"
relay_ini "${lab_key[laptop]}" "rate = plenty"
reload "app not_reloaded" 1
logged "$LAB/relay.ini:7: [server] rate: \"plenty\" is no number" 1 ||
    lab_fail "the fault has no name: $(tail -n 3 "$LAB/relay.log")"
expect "$(status laptop "http://$relay/metrics")" 200 "the old ini"
relay_ini "${lab_key[laptop]}" "clients_max = 1" "listen = 127.0.0.1:3341"
reload "app reloaded" 2
logged "app needs_restart section=server key=listen" 1 || lab_fail "the new listener is not mentioned"
lab_exec laptop curl -s --max-time 5 "http://$relay/" && lab_fail "one too many was served"
relay_ini "${lab_key[laptop]}" "clients_max = 2k"
reload "app reloaded" 3
expect "$(metric 'refused_total{why="clients"}')" 1 "one too many"
head -c 1M /dev/zero >"$LAB/upload"
expect "$(status laptop --data-binary @"$LAB/upload" -H "Expect:" "http://$relay/derp")" 405 "a long POST"
lab_join curl || lab_fail "the download broke"
[ "$(sha256sum <"$LAB/down")" = "$LAB_BIG_SUM" ] || lab_fail "the file arrived changed"
expect "$(metric logins_total)" 2 logins
lab_say "reloaded three times, and once not, under a download"

# Who is taken from the list is closed, nobody else; who is put back comes back.
lab_make_key stranger
relay_ini "${lab_key[stranger]}"
reload "app reloaded" 4
one_client() {
    [ "$(metric clients)" = 1 ]
}
two_clients() {
    [ "$(metric clients)" = 2 ]
}
lab_wait_until 10 one_client
relay_ini "${lab_key[laptop]}" "drain = 3s"
reload "app reloaded" 5
lab_wait_until 20 two_clients
expect "$(metric 'closed_total{why="closed by the client"}')" 0 "left by themselves"
lab_wait_until 30 lab_page_arrives
assert_path laptop home relay
lab_say "taken from the list, and put back"

# The end: no one new, those who are there are told, exit status 0.
kill -TERM "${lab_pid[relay]}"
not_listening() {
    [ -z "$(lab_exec relay ss -Hltn "sport = :3340")" ]
}
told() {
    grep -q 'relay restarting relay=main' "$LAB/home.log" "$LAB/laptop.log"
}
lab_wait_until 2 not_listening
lab_wait_until 2 told
kill -HUP "${lab_pid[relay]}" # who has a new certificate for it does not know that it ends
lab_page_arrives || lab_fail "what is there does not work after SIGHUP"
lab_is_alive relay || lab_fail "it was gone at once"
lab_page_arrives || lab_fail "what is there does not work until the end"
lab_wait_until 10 relay_ended
lab_join relay || lab_fail "it ended with status $?"
lab_say "drained"

# The next one is found, and a second signal waits for nobody.
relay_ini "${lab_key[laptop]}" "drain = 10m"
lab_relay relay
lab_wait_until 30 lab_page_arrives
assert_path laptop home relay
kill -TERM "${lab_pid[relay]}"
lab_wait_until 5 not_listening
kill -TERM "${lab_pid[relay]}"
lab_wait_until 5 relay_ended
lab_say "a second signal ends it at once"
