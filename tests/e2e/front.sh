#!/usr/bin/env bash
# What the front decides: which exit and which path by user name, several fronts with a policy each,
# ports in routes, services of a peer, and what goes nowhere unless the ini says just that.
#
#   home 10.77.0.2 ---+--- laptop 10.77.0.3     127.0.0.1:1080 open
#   web, exit,        |                         10.77.0.3:1081 guests, with passwords, to home
#   wiki.home.peer    +--- relay 10.77.0.4      a unix socket for everybody
. "$(dirname "${BASH_SOURCE[0]}")/../lab/lab.sh"

readonly FRONT=127.0.0.1:1080

curl_at() {
    lab_exec "$1" curl -sS --fail --max-time 20 "${@:2}"
}

arrives() {
    local what=$1 said
    shift
    said=$("$@" 2>&1) || lab_fail "$what: ended with $?: $said"
    [ "$said" = "a page of home" ] || lab_fail "$what: got $said"
    lab_say "$what: the page arrives"
}

# refused REPLY URL [USER]: the SOCKS reply (RFC 1928, section 6).
refused() {
    local said status=0
    said=$(curl_at laptop -o /dev/null --proxy "socks5h://${3:+$3:x@}$FRONT" "$2" 2>&1) || status=$?
    [ "$status" -eq 97 ] && [[ "$said" == *"($1)"* ]] || lab_fail "$2 as ${3:-nobody}: $status, $said"
    lab_say "$2${3:+ as $3}: SOCKS reply $1"
}

# crosses relay|nothing USER: what a file of 3 MB puts onto the relay's cable, path by path.
crosses() {
    local before=$(lab_cable_bytes relay)
    curl_at laptop --proxy "socks5h://$2:x@$FRONT" -o "$LAB/got" http://home.peer:8080/large
    cmp -s "$LAB/got" "$LAB/www/large" || lab_fail "$2: the file arrived changed"
    before=$((($(lab_cable_bytes relay) - before) >> 10))
    case $1 in
    relay) [ "$before" -gt 5800 ] || lab_fail "$2: $before KiB crossed the relay's cable" ;;
    *) [ "$before" -lt 300 ] || lab_fail "$2: $before KiB crossed the relay's cable" ;;
    esac
    assert_path laptop home direct
    lab_say "$2: $before KiB on the relay's cable"
}

lab_three
printf 'ann:one\n' >"$LAB/guests.users"
chmod 600 "$LAB/guests.users"
mkdir -p "$LAB/www" && head -c 3000000 /dev/urandom >"$LAB/www/large"
cat >>"$LAB/home.ini" <<'INI'

[serve]
wiki = 127.0.0.1:8080
wiki:8081 = localhost:9
INI
cat >>"$LAB/laptop.ini" <<INI

[front guests]
listen = 10.77.0.3:1081
users = $LAB/guests.users
exit = peer home
commands = connect

[front everybody]
listen = $LAB/open/front.sock
uids = any

[route]
10.77.0.2:8080 = direct
10.77.0.2 = refuse
10.77.0.2:8079-8081 = peer home
10.77.0.3 = direct
127.0.0.0/8 = direct
:25 = refuse
default = direct
INI
lab_three_start
lab_first_page
lab_await_path laptop home direct

arrives "a service" curl_at laptop --proxy "http://$FRONT" http://wiki.home.peer/small
arrives "a service by SOCKS" curl_at laptop --proxy "socks5h://$FRONT" http://wiki.home.peer/small
refused 5 http://wiki.home.peer:8081/
refused 4 http://wiki.home.peer:8082/
refused 4 http://blog.home.peer/
lab_spawn served home "$ADIT" serve -c "$LAB/home.ini" blog 8080 laptop
lab_wait_until 10 grep -q '^blog.home.peer:80 leads to 127.0.0.1:8080' "$LAB/served.log"
arrives "adit serve" curl_at laptop --proxy "socks5h://$FRONT" http://blog.home.peer/small
lab_kill served
no_blog() {
    ! curl_at laptop -o /dev/null --proxy "socks5h://$FRONT" http://blog.home.peer/small 2>/dev/null
}
lab_wait_until 10 no_blog

arrives "a port's own route" curl_at laptop --proxy "socks5h://$FRONT" http://10.77.0.2:8080/small
refused 2 http://10.77.0.2:80/
refused 5 http://10.77.0.2:8081/ # by home, where nobody listens
refused 2 http://elsewhere.example:25/
refused 2 http://169.254.169.254/
refused 2 http://0xa9fea9fe/
refused 2 http://127.0.0.1:1080/
refused 2 http://0.0.0.0:1080/
refused 2 http://10.77.0.3:1081/
refused 4 http://home.peers.peer/
refused 1 http://home.peer:8080/ %40hom
refused 1 http://home.peer:8080/ me+fast
refused 2 http://10.77.0.2:80/ %40home

crosses relay me+relay-only
crosses nothing me+direct-only
crosses nothing me

remote() {
    curl_at relay --proxy "$1://10.77.0.3:1081" -U "$2" "$3"
}
arrives "a guest" remote socks5h ann:one http://wiki.home.peer/small
arrives "a guest's exit" remote http ann:one http://localhost:8080/small
arrives "a guest's wish" remote http ann+relay-only@home:one http://wiki.home.peer/small
! remote http ann:two http://wiki.home.peer/small 2>/dev/null || lab_fail "a wrong password got through"
! remote http ann+fast:one http://wiki.home.peer/small 2>/dev/null || lab_fail "a wrong wish got through"

[ "$(stat -c %a "$LAB/open/front.sock")" = 666 ] || lab_fail "everybody's socket: $(stat -c %a "$LAB/open/front.sock")"
arrives "everybody's socket" curl_at laptop --unix-socket "$LAB/open/front.sock" \
    -H 'Host: wiki.home.peer' --request-target http://wiki.home.peer/small http://front/

"$ADIT" status -c "$LAB/laptop.ini" >"$LAB/said"
grep -Eq ' front  [0-9]+ requests, [0-9]+ connected; .*not_allowed [0-9]+.*refused_by_route [0-9]+.*unknown_wish 2' "$LAB/said" ||
    lab_fail "adit status does not say why requests failed: $(cat "$LAB/said")"
grep ' front  ' "$LAB/said"
