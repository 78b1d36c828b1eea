#!/usr/bin/env bash
# The other doors: ssh through `adit connect`, with a genuine sshd; `adit forward`; `adit env`.
#
#   home 10.77.0.2 ---+--- laptop 10.77.0.3 (no TCP front: the control socket is enough)
#   sshd 127.0.0.1:2222    relay 10.77.0.4
. "$(dirname "${BASH_SOURCE[0]}")/../lab/lab.sh"

. "$(dirname "${BASH_SOURCE[0]}")/sshd.bash"

readonly BYTES=50000000

at_home() {
    lab_exec laptop ssh "${sshd_options[@]}" -o ProxyCommand="$ADIT connect -c $LAB/laptop.ini %h %p" me@home.peer "$@"
}

greets() {
    [ "$(at_home echo hello 2>>"$LAB/ssh.log")" = hello ]
}

# code EXPECTED HOST PORT: `adit connect` ends so, and its message goes to $LAB/said.
code() {
    local got=0
    lab_exec laptop timeout 60 "$ADIT" connect -c "$LAB/laptop.ini" "$2" "$3" </dev/null >"$LAB/out" 2>"$LAB/said" || got=$?
    [ "$got" -eq "$1" ] || lab_fail "adit connect $2 $3: exit code $got, not $1: $(cat "$LAB/said")"
    lab_say "adit connect $2 $3: $got: $(cat "$LAB/said")"
}

lab_three
sed -i 's/^listen = 127.0.0.1:1080$/listen = none/' "$LAB/laptop.ini"
sshd_start
lab_three_start
lab_wait_until 30 greets
lab_await_path laptop home direct

head -c "$BYTES" /dev/urandom >"$LAB/file"
sum=$(sha256sum <"$LAB/file")
[ "$(at_home cat "$LAB/file" | sha256sum)" = "$sum" ] || lab_fail "$BYTES bytes down arrived changed"
[ "$(at_home sha256sum <"$LAB/file")" = "$sum" ] || lab_fail "$BYTES bytes up arrived changed"
lab_say "$BYTES bytes each way through ssh, hashes equal"
assert_path laptop home direct

# Half-close: the request ends, the answer comes all the same.
said=$(printf 'GET /small HTTP/1.0\r\n\r\n' | lab_exec laptop "$ADIT" connect -c "$LAB/laptop.ini" home.peer 8080) ||
    lab_fail "a request that ends: exit code $?"
[ "${said##*$'\n'}" = "a page of home" ] || lab_fail "a request that ends: $said"
# No standard input at all is an empty one, and not the first descriptor that the program opens.
said=0
lab_exec laptop timeout 10 "$ADIT" connect -c "$LAB/laptop.ini" home.peer 8080 <&- >"$LAB/said" 2>&1 || said=$?
[ "$said" -eq 0 ] || lab_fail "without standard input: exit code $said: $(cat "$LAB/said")"
code 69 home.peer 1
grep -q "connection refused" "$LAB/said" || lab_fail "it does not say why"
code 69 nobody.peer 1
code 77 example.org 80
code 64 home.peer nonsense

# A port that is forwarded as long as the command runs.
page() {
    [ "$(lab_exec laptop curl -sS --max-time 10 http://127.0.0.1:2080/small 2>>"$LAB/curl.log")" = "a page of home" ]
}
lab_spawn forward laptop "$ADIT" forward -c "$LAB/laptop.ini" 2080 home:8080
lab_wait_until 15 page
lab_kill forward
gone() {
    [ -z "$(lab_exec laptop ss -Hltn 'sport = :2080')" ]
}
lab_wait_until 15 gone
said=0
lab_exec laptop "$ADIT" forward -c "$LAB/laptop.ini" 2080 hime:8080 2>"$LAB/said" || said=$?
[ "$said" -eq 64 ] || lab_fail "forward to nobody: exit code $said: $(cat "$LAB/said")"
grep -q '"hime:8080": names a peer' "$LAB/said" || lab_fail "forward to nobody says: $(cat "$LAB/said")"
lab_spawn forward laptop "$ADIT" forward -c "$LAB/laptop.ini" 2080 home:8080
lab_wait_until 15 page
said=0
lab_exec laptop "$ADIT" forward -c "$LAB/laptop.ini" 2080 home:8080 2>"$LAB/said" || said=$?
lab_kill forward
[ "$said" -eq 69 ] || lab_fail "forward of a port that is taken: exit code $said: $(cat "$LAB/said")"
grep -q '"127.0.0.1:2080": address already in use' "$LAB/said" || lab_fail "and it says: $(cat "$LAB/said")"
said=0
lab_exec laptop "$ADIT" forward -c "$LAB/laptop.ini" 10.77.0.3:2080 home:8080 2>"$LAB/said" || said=$?
[ "$said" -eq 64 ] || lab_fail "forward at no loopback address: exit code $said: $(cat "$LAB/said")"
lab_say "adit forward: leads there, ends with the command"

lab_stop laptop

# The terminal that it was started in goes: it ends as with SIGTERM, unless nohup was asked for.
lab_spawn laptop laptop env --default-signal=HUP "$ADIT" run -c "$LAB/laptop.ini"
lab_wait_until 15 lab_answers laptop
lab_stop laptop HUP
lab_spawn laptop laptop env --ignore-signal=HUP "$ADIT" run -c "$LAB/laptop.ini"
lab_wait_until 15 lab_answers laptop
kill -HUP "${lab_pid[laptop]}"
lab_answers laptop || lab_fail "SIGHUP ends what is to ignore it"
lab_stop laptop
lab_say "SIGHUP: a clean end, or none"

# The environment: what runs in it goes through the front.
sed -i 's/^listen = none$/listen = 127.0.0.1:1080/' "$LAB/laptop.ini"
lab_adit laptop
"$ADIT" env -c "$LAB/laptop.ini" >"$LAB/env"
in_env() {
    [ "$(lab_exec laptop bash -c '. "$1"; curl -sS --max-time 10 http://home.peer:8080/small' in_env "$LAB/env" 2>>"$LAB/curl.log")" = "a page of home" ]
}
lab_wait_until 30 in_env
lab_await_path laptop home direct
lab_say "adit env: curl goes through the front by itself"
