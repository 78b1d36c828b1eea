#!/usr/bin/env bash
# Every way to be refused has its own answer at the application: curl's exit code and the SOCKS
# reply number (RFC 1928, section 6).
#
#   home 10.77.0.2 ---+--- laptop 10.77.0.3 (front)      home: allow = any
#                     +--- relay  10.77.0.4              shed: no allow, so nothing
#                     +--- shed   10.77.0.5
#                          ghost: a peer that never runs
. "$(dirname "${BASH_SOURCE[0]}")/../lab/lab.sh"

# expect REPLY URL [SECONDS]: curl must fail with 97 (CURLE_PROXY) and REPLY (a pattern).
expect() {
    local reply=$1 url=$2 said status=0
    said=$(lab_curl --max-time "${3:-20}" -o /dev/null "$url" 2>&1) || status=$?
    [ "$status" -eq 97 ] || lab_fail "$url: curl ended with $status: $said"
    said=$(sed -n 's/.*(\([0-9]*\))[^()]*$/\1/p' <<<"$said")
    [[ "$said" =~ ^($reply)$ ]] || lab_fail "$url: SOCKS reply $said, not $reply"
    lab_say "$url: SOCKS reply $said"
}

# talk BYTES: says BYTES (printf escapes) to the front; prints in hex what comes until it closes.
talk() {
    lab_exec laptop timeout 20 bash -c '
        exec 3<>/dev/tcp/127.0.0.1/1080
        printf "$1" >&3
        cat <&3 || true' talk "$1" >"$LAB/talk" || lab_fail "the front does not close on $1"
    od -An -v -tx1 "$LAB/talk" | tr -d ' \n'
}

# talk_reply REPLY BYTES: the SOCKS reply to them, behind the choice of no login.
talk_reply() {
    local said
    said=$(talk "$2")
    [ "${said:0:8}" = "0500050$1" ] || lab_fail "$2: answered $said, not reply $1"
    lab_say "$2: SOCKS reply $1"
}

lab_three
lab_host shed 10.77.0.5
lab_make_key shed
lab_make_key ghost
echo "allow = ${lab_key[shed]}" >>"$LAB/relay.ini"
lab_ini shed 10.77.0.5:41000
lab_peers_section shed laptop >>"$LAB/shed.ini"
cat >>"$LAB/laptop.ini" <<INI

[peer shed]
key = ${lab_key[shed]}
endpoint = 10.77.0.5:41000

[peer ghost]
key = ${lab_key[ghost]}
endpoint = 10.77.0.9:41000

[route]
refused.test = refuse
home.test = peer home
169.254.0.0/16 = peer home
10.77.0.2/32 = peer home
10.77.0.4/32 = direct
10.77.0.99 = peer home
10.77.0.5 = peer home
192.0.2.0/24 = peer home
INI
lab_three_start
lab_adit shed
lab_first_page

expect 5 http://home.peer:9/                  # nobody listens there
expect 4 http://no-such-name.home.test:8080/  # the exit cannot resolve it
expect 2 http://shed.peer:8080/               # the exit's allow list is empty
expect 2 http://169.254.169.254/              # "any" does not open a cloud's metadata
expect 4 http://stranger.peer:8080/           # no such peer: must not leak to a resolver
expect 2 http://www.refused.test:8080/        # [route] says refuse
expect 2 http://elsewhere.example:8080/       # [route] says nothing, and nothing is refuse
expect 5 http://10.77.0.4:9/                  # direct, nobody listens
expect 3 http://192.0.2.1/                    # the exit has no route there
talk_reply 8 '\x05\x01\x00\x05\x01\x00\x02'    # an address of no known type

# These take their time, and take it together: nobody answers for 10.77.0.99, shed drops what comes,
# and the ghost never answers.
lab_exec shed nft -f - <<'NFT'
table inet silent {
    chain in {
        type filter hook input priority 0; policy accept;
        tcp dport 99 drop
    }
}
NFT
slow=()
expect 4 http://10.77.0.99/ 60 & slow+=($!)
expect 6 http://10.77.0.5:99/ 60 & slow+=($!)
expect 1 http://ghost.peer:8080/ 60 & slow+=($!)
said=$(talk '\x05\x01\x02') # asked for a name it does not give, until its time is up
[ "$said" = 0502 ] || lab_fail "password only: answered $said"
for pid in "${slow[@]}"; do
    wait "$pid" || lab_fail "one of the slow ones"
done

lab_spawn direct_web relay "$LAB_WEBSERVER" 10.77.0.4 8081 "$LAB/www"
lab_wait_until 10 lab_listens direct_web relay 8081
[ "$(lab_curl http://10.77.0.4:8081/small)" = "a page of home" ] || lab_fail "direct route"
[ "$(lab_curl http://10.77.0.2:8080/small)" = "a page of home" ] || lab_fail "prefix route"

talk_reply 7 '\x05\x01\x00\x05\x09\x00\x01\x0a\x4d\x00\x02\x1f\x90'
said=$(talk '\x05\x01\x01')
[ "$said" = 05ff ] || lab_fail "GSSAPI only: answered $said"
said=$(talk '\x06\x01\x00')
[ -z "$said" ] || lab_fail "SOCKS version 6: answered $said, not silence"
lab_page_arrives || lab_fail "the front does not work any more"

# Who asks again and again is refused each time, and cannot fill a disk with it: here or at the exit.
status=0
lab_curl -o /dev/null 'http://home.peer:9/[1-260]' 2>"$LAB/refused" || status=$?
[ "$status" -eq 97 ] || lab_fail "260 requests: curl ended with $status"
[ "$(grep -c '^curl: (97)' "$LAB/refused")" -eq 260 ] || lab_fail "not 260 refusals"
for at in 'laptop front' 'home exit'; do
    lines=$(grep -c " ${at#* } failed target=\| ${at#* } failed peer=" "$LAB/${at% *}.log")
    [ "$lines" -le 220 ] || lab_fail "$at: $lines lines for 260 refusals"
    grep -q " ${at#* } failed .* too_many=yes" "$LAB/${at% *}.log" || lab_fail "$at does not say it is silent"
    lab_say "$at: $lines lines for 260 refusals"
done
