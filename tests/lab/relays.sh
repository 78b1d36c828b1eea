#!/usr/bin/env bash
# All ways to our relay: plain, TLS, WebSocket, through an HTTP proxy; and what is refused.
#
# The network is drawn in relays.bash. LAB_RELAY_BYTES=$((1 << 30)) carries a GiB each way.
#
# Alone: it moves as much as the cores can.
here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lab.sh"
. "$here/relays.bash"

relays_network
relays_authority
relays_good_certificate tls relay.test
cat >>"$LAB/relay.ini" <<INI
listen_tls = 10.77.0.4:3443
cert = $LAB/tls.crt
cert_key = $LAB/tls.key
INI
lab_relay relay
pin="pin = sha256:$(relays_pin "$LAB/tls.crt")"
grep -q "${pin#pin = }" "$LAB/relay.log" || lab_fail "the relay's log does not tell its pin"
relays_proxy
proxy='proxy = http://user:the%25secret%20word@10.77.0.5:3128'

relays_carry "plain" http://relay.test:3340
relays_carry "TLS" https://relay.test:3443
relays_carry "WebSocket and TLS" wss://relay.test:3443
relays_carry "WebSocket" ws://relay.test:3340
relays_carry "TLS with a pin, by address" https://10.77.0.4:3443 "$pin"

relays_refuse "another name" "its certificate is for relay.test, not for 10.77.0.4" \
    https://10.77.0.4:3443
relays_refuse "another pin" "its certificate has another key than the pinned one" \
    https://relay.test:3443 "pin = sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
relays_refuse "TLS at a plain port" "it does not speak TLS" https://relay.test:3340
relays_refuse "plain HTTP at a port with TLS" "connection closed" http://relay.test:3443
grep -q 'tls_failed.*it speaks plain HTTP' "$LAB/relay.log" ||
    lab_fail "the relay does not say that somebody came without TLS"

# Files are read again on SIGHUP, and bad ones are not taken.
relays_certificate old relay.test 20200101000000Z 20200201000000Z
cp "$LAB/tls.crt" "$LAB/good.crt"
cp "$LAB/tls.key" "$LAB/good.key"
reload() {
    local before
    before=$(grep -c "$1" "$LAB/relay.log" || true)
    kill -HUP "${lab_pid[relay]}"
    lab_wait_until 10 eval "[ \"\$(grep -c '$1' \"$LAB/relay.log\")\" -gt $before ]"
}
cp "$LAB/old.crt" "$LAB/tls.crt"
cp "$LAB/old.key" "$LAB/tls.key"
reload 'tls certificate'
relays_refuse "an expired certificate" "its certificate expired on 2020-02-01" https://relay.test:3443
echo "no certificate" >"$LAB/tls.crt"
reload 'tls not_reloaded'
relays_refuse "the old one still, after a bad file" "expired on 2020-02-01" https://relay.test:3443
cp "$LAB/good.crt" "$LAB/tls.crt"
cp "$LAB/good.key" "$LAB/tls.key"
reload 'tls certificate'

# An idle client's cost.
cat >"$LAB/idle.ini" <<INI
[node]
log = warn
[server]
listen_tls = 10.77.0.4:4443
cert = $LAB/tls.crt
cert_key = $LAB/tls.key
key = $LAB/relay.key
open = yes
clients_per_address_max = 500
INI
lab_spawn idle relay "$ADIT" relay -c "$LAB/idle.ini"
lab_wait_until 15 lab_listens idle relay 4443
line=$(lab_exec relay timeout 60 "${LAB_WEBSERVER%/*}/lab_tlsidle" 10.77.0.4:4443 "${lab_pid[idle]}" \
    "$(relays_pin "$LAB/tls.crt" | base64 -d | od -An -v -tx1 | tr -d ' \n')" 250)
lab_say "idle in TLS: $line"
[ "${line##*=}" -lt 65536 ] || lab_fail "an idle client in TLS takes too much"
lab_stop idle

# Whether a relay is there is asked the same way.
netcheck() {
    lab_exec laptop "$ADIT" netcheck -c "$LAB/laptop.ini" --json | jq -r ".relays[0].$1"
}
relays_ini laptop https://relay.test:3443
[ "$(netcheck answered)" = true ] || lab_fail "netcheck: $(netcheck error)"
relays_ini laptop https://10.77.0.4:3443
[[ "$(netcheck error)" == *"is for relay.test"* ]] || lab_fail "netcheck: $(netcheck error)"
lab_say "netcheck sees the relay, and its certificate"

relays_cut
relays_refuse "no way but through the proxy" "cannot connect" https://relay.test:3443
relays_refuse "a wrong password" "the proxy does not accept the name and password (407)" \
    https://relay.test:3443 'proxy = http://user:wrongword@10.77.0.5:3128'
relays_carry "TLS through an HTTP proxy" https://relay.test:3443 "$proxy"
relays_carry "plain through an HTTP proxy" http://relay.test:3340 "$proxy"
export https_proxy='http://user:the%25secret%20word@10.77.0.5:3128'
relays_carry "WebSocket and TLS through the environment's proxy" wss://relay.test:3443
relays_refuse "not through the environment's proxy" "cannot connect" https://relay.test:3443 \
    'proxy = none'
! grep -lE 'secret|wrongword|dXNlcjp' "$LAB"/{home,laptop,relay,proxy}.log ||
    lab_fail "a log tells the proxy's password"
