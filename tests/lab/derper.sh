#!/usr/bin/env bash
# The same ways to a genuine derper, plain and with TLS. Skipped where it cannot be built.
#
# The network is drawn in relays.bash. LAB_RELAY_BYTES=$((1 << 30)) carries a GiB each way.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ -z "${LAB_INSIDE:-}" ]; then
    . "$here/../e2e/derper.bash"
    derper_get || {
        echo "skip: $DERPER_WHY"
        exit 77
    }
fi
. "$here/lab.sh"
. "$here/relays.bash"

# start PORT [OPTION...]
start() {
    local port=$1
    shift
    lab_spawn derper relay "$DERPER" -a "10.77.0.4:$port" -c "$LAB/derper.json" -certdir "$LAB" \
        -hostname relay.test -stun=false -http-port=-1 "$@"
    lab_wait_until 15 lab_listens derper relay "$port"
}

relays_network
relays_authority
relays_good_certificate relay.test relay.test
relays_proxy

start 3340
relays_carry "plain" http://relay.test:3340
relays_carry "WebSocket" ws://relay.test:3340
lab_kill derper
start 443 -certmode manual
relays_carry "TLS" https://relay.test
relays_carry "TLS with a pin" https://relay.test "pin = sha256:$(relays_pin "$LAB/relay.test.crt")"
relays_carry "WebSocket and TLS" wss://relay.test
relays_cut
relays_carry "TLS through an HTTP proxy" https://relay.test \
    'proxy = http://user:the%25secret%20word@10.77.0.5:3128'
