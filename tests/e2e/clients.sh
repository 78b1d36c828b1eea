#!/usr/bin/env bash
# Every protocol of the one port, spoken by real clients: SOCKS4a, SOCKS5, HTTP CONNECT, plain HTTP
# with keep-alive and WebSocket; passwords, right and wrong; a unix socket; a forwarded port. All of
# it reaches home through the session, and the path is asserted.
#
#   home 10.77.0.2 ---+--- laptop 10.77.0.3   127.0.0.1:1080 open, 10.77.0.3:1081 with passwords
#   web               |                       127.0.0.1:2080 forwarded to home:8080
#                     +--- relay 10.77.0.4
. "$(dirname "${BASH_SOURCE[0]}")/../lab/lab.sh"

readonly PAGE=http://home.peer:8080/small FRONT=127.0.0.1:1080

curl_at() {
    lab_exec "$1" curl -sS --fail --max-time 20 "${@:2}"
}

# arrives WHAT ARGUMENTS...: curl at laptop must bring the page.
arrives() {
    local what=$1 said
    shift
    said=$(curl_at laptop "$@" 2>&1) || lab_fail "$what: curl ended with $?: $said"
    [ "$said" = "a page of home" ] || lab_fail "$what: got $said"
    lab_say "$what: the page arrives"
}

# counter GROUP NAME
counter() {
    lab_status laptop | jq ".counters.$1.$2"
}

# status CODE ARGUMENTS...: curl at laptop must get this HTTP status from the front.
status() {
    local code=$1 said
    shift
    said=$(lab_exec laptop curl -sS --max-time 20 -o "$LAB/page" -w '%{http_code} %{http_connect}' "$@" 2>&1) || true
    [[ " $said " == *" $code "* ]] || lab_fail "$*: status $said, not $code: $(cat "$LAB/page")"
    lab_say "$code: ${*: -1}"
}

# The request of RFC 6455 section 1.3, and then bytes that are echoed.
websocket_arrives() {
    local said
    said=$(lab_exec laptop timeout 20 bash -c '
        exec 3<>/dev/tcp/127.0.0.1/1080
        printf "GET http://home.peer:8080/-/echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" >&3
        while IFS= read -r -u 3 line && [ "${#line}" -gt 1 ]; do echo "$line"; done
        printf "frame-1" >&3
        head -c 7 <&3') || lab_fail "websocket: ended with $?: $said"
    [[ "$said" == "HTTP/1.1 101 "* && "$said" == *frame-1 ]] || lab_fail "websocket: $said"
    lab_say "WebSocket: switched, and bytes are echoed"
}

lab_three
printf 'ann:one two\n' >"$LAB/users"
chmod 600 "$LAB/users"
cat >>"$LAB/laptop.ini" <<INI
listen = $LAB/front.sock

[forward]
127.0.0.1:2080 = home:8080
INI
lab_three_start
lab_first_page
lab_await_path laptop home direct

arrives "SOCKS5, name" --proxy "socks5h://$FRONT" "$PAGE"
arrives "SOCKS4a" --proxy "socks4a://$FRONT" "$PAGE"
arrives "HTTP" --proxy "http://$FRONT" "$PAGE"
arrives "HTTP/1.0" --http1.0 --proxy "http://$FRONT" "$PAGE"
arrives "CONNECT" --proxytunnel --proxy "http://$FRONT" "$PAGE"
arrives "CONNECT 1.0" --proxytunnel --proxy1.0 "$FRONT" "$PAGE"
arrives "a user nobody asked for" --proxy "socks5h://me:secret@$FRONT" "$PAGE"
arrives "the forwarded port" http://127.0.0.1:2080/small
arrives "the unix socket" --unix-socket "$LAB/front.sock" -H 'Host: home.peer:8080' \
    --request-target "$PAGE" http://front/
websocket_arrives

# Three requests on one connection to the front: curl says how often it connected.
before=$(counter front clients)
said=$(curl_at laptop --proxy "http://$FRONT" -w '%{num_connects}\n' -o "$LAB/1" "$PAGE" -o "$LAB/2" "$PAGE" \
    -o "$LAB/3" "$PAGE") || lab_fail "three requests: $?"
[ "$(tr -d '\n' <<<"$said")" = 100 ] || lab_fail "three requests took these connections: $said"
[ "$(cat "$LAB"/[123])" = "$(yes "a page of home" | head -n 3)" ] || lab_fail "three requests: wrong answers"
[ $(($(counter front clients) - before)) -eq 1 ] || lab_fail "the front saw more than one connection"
lab_say "three requests over one connection"

# A body up: with a length, in chunks, and 20 MB of it.
head -c 20000000 /dev/urandom >"$LAB/up"
sum=$(sha256sum <"$LAB/up" | cut -d' ' -f1)
said=$(curl_at laptop --proxy "http://$FRONT" -T "$LAB/up" http://home.peer:8080/up)
[ "$said" = "20000000 $sum" ] || lab_fail "upload over HTTP: $said"
cp "$LAB/up" "$LAB/www/large"
[ "$(curl_at laptop --proxy "http://$FRONT" http://home.peer:8080/large | sha256sum | cut -d' ' -f1)" = "$sum" ] ||
    lab_fail "download over HTTP arrived changed"
lab_say "20 MB each way over plain HTTP, hashes equal"

# Refusals.
status 502 --proxy "http://$FRONT" http://home.peer:1/
status 502 --proxytunnel --proxy "http://$FRONT" http://home.peer:1/
status 502 --proxy "http://$FRONT" http://nobody.peer/
status 403 --proxy "http://$FRONT" http://example.org/
status 404 "http://$FRONT/"
status 405 -X POST "http://$FRONT/proxy.pac"
status 400 --proxy "http://$FRONT" --request-target ftp://home.peer/x http://home.peer/x
status 431 --proxy "http://$FRONT" -H "X: $(head -c 9000 /dev/zero | tr '\0' x)" "$PAGE"
status 403 -H 'Host: evil.example' "http://$FRONT/proxy.pac"
grep -q "^403 Forbidden" "$LAB/page" || lab_fail "the page of a 403 cannot be read: $(cat "$LAB/page")"
assert_path laptop home direct

# Not loopback and no password: it does not start, and says why.
lab_stop laptop
sed -i "s/^listen = 127.0.0.1:1080\$/listen = 127.0.0.1:1080, 10.77.0.3:1081/" "$LAB/laptop.ini"
said=0
"$ADIT" run -c "$LAB/laptop.ini" 2>"$LAB/refused" || said=$?
[ "$said" -eq 78 ] || lab_fail "an open listener without passwords: exit code $said"
grep -q 'is not loopback: others could use the proxy; name a file with passwords' "$LAB/refused" ||
    lab_fail "it does not say why: $(cat "$LAB/refused")"
sed -i "s/^\[front\]\$/&\nusers = $(sed 's/[/&]/\\&/g' <<<"$LAB/users")/" "$LAB/laptop.ini"
chmod 644 "$LAB/users"
said=0
"$ADIT" run -c "$LAB/laptop.ini" 2>"$LAB/refused" || said=$?
[ "$said" -eq 77 ] || lab_fail "passwords that others may read: exit code $said: $(cat "$LAB/refused")"
chmod 600 "$LAB/users"
lab_adit laptop

# From another machine, with the right password, with a wrong one, and with none.
remote() {
    curl_at relay -o "$LAB/page" "$@" "$PAGE" 2>"$LAB/remote"
}
lab_wait_until 30 remote --proxy http://10.77.0.3:1081 -U 'ann:one two'
remote --proxy socks5h://10.77.0.3:1081 -U 'ann:one two' || lab_fail "SOCKS5 with a password: $(cat "$LAB/remote")"
! remote --proxy socks5h://10.77.0.3:1081 || lab_fail "SOCKS5 without a password got through"
! remote --proxy socks5h://10.77.0.3:1081 -U 'ann:one' || lab_fail "SOCKS5 with a wrong password got through"
! remote --proxy socks4a://10.77.0.3:1081 || lab_fail "SOCKS4 without a password got through"
! remote --proxy http://10.77.0.3:1081 || lab_fail "HTTP without a password got through"
! remote --proxy http://10.77.0.3:1081 --proxytunnel -U 'bob:one two' || lab_fail "a wrong name got through"
[ "$(counter front bad_logins)" -eq 5 ] || lab_fail "bad_logins is $(counter front bad_logins), not 5"
remote --proxy http://10.77.0.3:1081 -U 'ann:one two' || lab_fail "held off too early: $(cat "$LAB/remote")"
for _ in 1 2 3 4 5 6; do
    ! remote --proxy http://10.77.0.3:1081 -U 'ann:guess' || lab_fail "a guess got through"
done
! remote --proxy http://10.77.0.3:1081 -U 'ann:one two' || lab_fail "guessing has no price"
lab_wait_until 10 remote --proxy http://10.77.0.3:1081 -U 'ann:one two'
! grep -q 'one two' "$LAB/laptop.log" || lab_fail "a password stands in the log"
lab_await_path laptop home direct
lab_say "passwords: asked for, looked at, guessing held off"
