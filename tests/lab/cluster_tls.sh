#!/usr/bin/env bash
# How a relay logs in at NATS servers, on one machine: TLS with an authority of one's own; a password,
# a token, credentials; and what it says when a server is not the right one.
#
#   nats-server :4222  TLS, password      nats-server :4224  TLS, certificate for another host
#   nats-server :4223  TLS, token         nats-server :4225  TLS, operator and account
#   :4226  says that it wants TLS, and then nothing any more
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

command -v nats-server >/dev/null || lab_skip "there is no nats-server here"
command -v openssl >/dev/null || lab_skip "there is no openssl here"
[[ $(ldd "$ADIT") == *libnats* ]] || lab_skip "adit was built without cnats"

secret='s3cr@t:of/the%41lab' token=t0ken-of-the-lab

authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1" \
        -keyout "$LAB/$1.key" -out "$LAB/$1.crt" 2>>"$LAB/openssl.log"
}

# certificate FILE NAMES
certificate() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" \
        -keyout "$LAB/$1.key" -out "$LAB/$1.csr" 2>>"$LAB/openssl.log"
    openssl x509 -req -in "$LAB/$1.csr" -CA "$LAB/ca.crt" -CAkey "$LAB/ca.key" -CAcreateserial \
        -days 2 -extfile <(echo "subjectAltName=$2") -out "$LAB/$1.crt" 2>>"$LAB/openssl.log"
}

# nats PORT CERTIFICATE OPTION...
nats() {
    local port=$1 tls="$LAB/$2"
    shift 2
    lab_spawn "nats-$port" hub nats-server -a 127.0.0.1 -p "$port" --tls --tlscert "$tls.crt" \
        --tlskey "$tls.key" "$@"
}

# relay NAME PORT CA LINE...: with these lines in its [server].
relay() {
    local name=$1
    {
        printf '[server]\nlisten = 127.0.0.1:%s\nkey = %s\nopen = yes\ndrain = 0s\n' "$2" "$LAB/relay.key"
        [ -z "$3" ] || printf 'cluster_ca = %s\n' "$LAB/$3.crt"
        shift 3
        printf '%s\n' "$@"
    } >"$LAB/$name.ini"
    chmod 600 "$LAB/$name.ini" # there is a password in it
    lab_spawn "$name" hub "$ADIT" relay -c "$LAB/$name.ini"
    port[$name]=$(sed -n 's/^listen = 127.0.0.1://p' "$LAB/$name.ini")
}
declare -A port

metric_is() {
    [ "$(lab_exec hub curl -sS --max-time 5 "http://127.0.0.1:${port[$1]}/metrics" 2>>"$LAB/curl.log" |
        sed -n "s/^adit_relay_$2 //p")" = "$3" ]
}

says() {
    grep -q "$2" "$LAB/$1.log"
}

# refused NAME TEXT: the log has it, once; nothing came of it.
refused() {
    lab_wait_until 10 says "$1" "cluster cannot_connect .*$2"
    metric_is "$1" cluster_up 0 || lab_fail "$1 is connected"
    [ "$(grep -c cannot_connect "$LAB/$1.log")" -eq 1 ] || lab_fail "$1 says it more than once"
    lab_say "$1: $(sed -n 's/.*cannot_connect //p' "$LAB/$1.log")"
    lab_stop "$1"
}

lab_network
lab_exec hub ip link set lo up
echo '127.0.0.1 nats.test' >>"$LAB/hosts"
lab_make_key relay
authority ca
authority other
certificate right "DNS:nats.test,IP:127.0.0.1"
certificate wrong "DNS:elsewhere.test,IP:127.0.0.9"
python3 "$lab_root/tests/lab/natsjwt.py" "$LAB/jwt.conf" "$LAB/relay.creds"
nats 4222 right --user relay --pass "$secret"
nats 4223 right --auth "$token"
nats 4224 wrong --user relay --pass "$secret"
nats 4225 right -c "$LAB/jwt.conf"
lab_spawn stalled hub python3 -c '
import socket
s = socket.create_server(("127.0.0.1", 4226))
held = []
while True:
    c = s.accept()[0]
    c.sendall(b"INFO {\"server_id\":\"X\",\"version\":\"2.9.0\",\"max_payload\":1048576,\"tls_required\":true}\r\n")
    held.append(c)
    print("held", flush=True)'
for n in 4222 4223 4224 4225; do
    lab_wait_until 10 lab_listens "nats-$n" hub "$n"
done
lab_wait_until 10 lab_listens stalled hub 4226

relay stuck 3349 ca "cluster = tls://relay:$secret@127.0.0.1:4226"
relay name 3341 ca "cluster = tls://relay:$secret@nats.test:4222"
relay address 3342 ca "cluster = tls://relay:$secret@127.0.0.1:4222"
relay second 3343 ca "cluster = tls://relay:$secret@127.0.0.1:4224, tls://relay:$secret@nats.test:4222"
relay token 3344 ca "cluster = tls://$token@nats.test:4223"
relay creds 3345 ca "cluster = tls://nats.test:4225" "cluster_credentials = $LAB/relay.creds"
for name in name address second; do
    lab_wait_until 15 metric_is "$name" cluster_relays 2
done
lab_say "three relays by TLS and a password: by name, by address, and at the second server"
says second "cannot_connect server=127.0.0.1:4224 .*IP address mismatch" || lab_fail "second: $(cat "$LAB/second.log")"
for name in token creds; do
    lab_wait_until 15 metric_is "$name" cluster_up 1
done
lab_say "a token, credentials"

relay other_ca 3351 other "cluster = tls://relay:$secret@nats.test:4222"
relay no_ca 3352 "" "cluster = tls://relay:$secret@nats.test:4222"
relay other_host 3353 ca "cluster = tls://relay:$secret@nats.test:4224"
relay other_password 3354 ca "cluster = tls://relay:not-$secret@nats.test:4222"
relay plain 3355 "" "cluster = nats://relay:$secret@nats.test:4222"
refused other_ca "unable to get local issuer certificate"
refused no_ca "unable to get local issuer certificate"
refused other_host "hostname mismatch:expected=nats.test"
refused other_password "Authorization Violation"
refused plain "unable to get local issuer certificate"

# A server that stays silent in the middle of the handshake does not keep the relay from ending.
lab_wait_until 10 grep -q held "$LAB/stalled.log"
lab_stop stuck
says stuck "cluster left_behind" || lab_fail "stuck: $(cat "$LAB/stuck.log")"
for word in "$secret" "${secret%%:*}" "$token" SEED; do
    ! grep -lF -e "$word" "$LAB"/{name,address,second,token,creds,other_ca,no_ca,other_host,other_password,plain,stuck}.log ||
        lab_fail "a log tells a secret"
done
