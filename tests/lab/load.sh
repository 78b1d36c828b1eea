#!/usr/bin/env bash
# Many connections through one session: held at once, new ones by the second, and more than there are
# descriptors for. Nothing leaks, and a front without descriptors waits instead of spinning.
#
#   home 10.77.0.2 ---+--- laptop 10.77.0.3 (front, the crowd)
#   exit, echo :9000  +--- relay 10.77.0.4
#
# Alone: it measures what the processes compute.
#
# Environment: LAB_HOLD (connections at once), LAB_RATE (new ones a second), LAB_RATE_SECONDS. The whole
# of it: LAB_HOLD=10000 LAB_RATE=2000 LAB_RATE_SECONDS=60 tests/run lab load
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

LAB_CROWD=${LAB_CROWD:-$lab_root/build-dev/tests/lab_crowd}
LAB_HOLD=${LAB_HOLD:-1000} LAB_RATE=${LAB_RATE:-200} LAB_RATE_SECONDS=${LAB_RATE_SECONDS:-3}

descriptors() {
    ls "/proc/${lab_pid[$1]}/fd" | wc -l
}

# As few as before, once everything has been told.
has_descriptors() {
    [ "$(descriptors "$1")" -le "$2" ]
}

# Ticks of the clock (10 ms) that the process has computed.
ticks() {
    awk '{ print $14 + $15 }' "/proc/${lab_pid[$1]}/stat"
}

# crowd ID COUNT: holds COUNT connections in the background until told to end.
crowd() {
    mkfifo "$LAB/$1.in"
    # shellcheck disable=SC2016 # the inner shell's
    lab_spawn "$1" laptop bash -c 'exec "$0" hold 127.0.0.1 1080 home.peer 9000 "$1" <>"$2"' "$LAB_CROWD" "$2" "$LAB/$1.in"
}

says() {
    grep -q "$2" "$LAB/$1.log"
}

release() {
    echo >"$LAB/$1.in"
    lab_join "$1" || lab_fail "$1 ended with $?"
}

# The kernel remembers each connection for a minute after its end, and the ports would run out.
many_ports() {
    # shellcheck disable=SC2016 # the inner shell's
    lab_exec "$1" sh -c 'echo "1024 65535" >/proc/sys/net/ipv4/ip_local_port_range
        echo 4096 >/proc/sys/net/ipv4/tcp_max_tw_buckets'
}

lab_three
many_ports home
many_ports laptop
sed -i 's/^log = info$/log = warn/' "$LAB/home.ini" "$LAB/laptop.ini"
lab_spawn echo home "$LAB_CROWD" serve 0.0.0.0 9000
lab_wait_until 10 lab_listens echo home 9000
lab_three_start
lab_first_page
lab_await_path laptop home direct
before_home=$(descriptors home) before_laptop=$(descriptors laptop)

crowd held "$LAB_HOLD"
lab_wait_until 120 says held '^open'
says held "^open $LAB_HOLD failed 0 " || lab_fail "not all are open: $(cat "$LAB/held.log")"
assert_path laptop home direct
[ "$(lab_status home | jq .counters.exit.connections_now)" -eq "$LAB_HOLD" ] || lab_fail "the exit has another number"
lab_say "$LAB_HOLD at once: $(cat "$LAB/held.log"); front $(lab_rss_kib laptop) KiB, exit $(lab_rss_kib home) KiB"
release held
says held "^alive $LAB_HOLD" || lab_fail "not all were alive: $(cat "$LAB/held.log")"
lab_wait_until 30 has_descriptors home "$before_home"
lab_wait_until 30 has_descriptors laptop "$before_laptop"
lab_say "closed: descriptors as before ($before_laptop, $before_home)"

used_laptop=$(ticks laptop) used_home=$(ticks home)
count=$((LAB_RATE * LAB_RATE_SECONDS))
said=$(lab_exec laptop timeout 240 "$LAB_CROWD" rate 127.0.0.1 1080 home.peer 9000 "$count" "$LAB_RATE") ||
    lab_fail "the crowd ended with $?"
lab_say "$LAB_RATE a second: $said; processor: front $(($(ticks laptop) - used_laptop))0 ms, exit $(($(ticks home) - used_home))0 ms"
[[ "$said" == "done $count failed 0 "* ]] || lab_fail "not all $count were served"
assert_path laptop home direct
lab_wait_until 30 has_descriptors home "$before_home"
lab_wait_until 30 has_descriptors laptop "$before_laptop"
lab_say "descriptors as before"

# A front with room for some 90: the next ones wait, the rest goes on.
lab_stop laptop
# shellcheck disable=SC2016 # the inner shell's
lab_spawn laptop laptop bash -c 'ulimit -n 128; exec "$0" run -c "$1"' "$ADIT" "$LAB/laptop.ini"
lab_wait_until 15 lab_answers laptop
lab_first_page
crowd first 70
lab_wait_until 30 says first '^open 70 failed 0 '
crowd second 60
lab_wait_until 30 says laptop descriptors_short
used=$(ticks laptop)
sleep 1 # what is measured is a second of waiting
used=$(($(ticks laptop) - used))
[ "$used" -le 20 ] || lab_fail "waiting for descriptors took ${used}0 ms of processor time in a second"
[ "$(grep -c descriptors_short "$LAB/laptop.log")" -eq 1 ] || lab_fail "it says so more than once"
lab_status laptop >/dev/null || lab_fail "the control socket does not answer"
! says second '^open' || lab_fail "there were descriptors for all of them"
assert_path laptop home direct
release first
says first '^alive 70' || lab_fail "the first ones suffered: $(cat "$LAB/first.log")"
lab_wait_until 30 says second '^open 60 failed 0 '
release second
lab_say "out of descriptors: ${used}0 ms of processor time in a second, one line in the log, and all were served"
