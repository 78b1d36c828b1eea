#!/usr/bin/env bash
# adit invite and adit join: two machines that know nothing get to know each other by two lines, and
# then reach each other through the relay that the first one named.
#
#   home 10.77.0.2 -X-+-X- laptop 10.77.0.3      X = nft drops arriving UDP
#   exit, web         |    front
#                     +--- relay 10.77.0.4
. "$(dirname "${BASH_SOURCE[0]}")/../lab/lab.sh"

readonly EX_USAGE=64 EX_DATAERR=65 EX_NOINPUT=66 EX_CANTCREAT=73 EX_NOPERM=77 EX_CONFIG=78

# expect STATUS NAME COMMAND ARGUMENT...: with NAME's ini; what it says goes to $LAB/said.
expect() {
    local wanted=$1 name=$2 command=$3 status=0
    shift 3
    timeout 20 "$ADIT" "$command" -c "$LAB/$name.ini" "$@" >"$LAB/said" 2>"$LAB/complaint" \
        </dev/null || status=$?
    [ "$status" -eq "$wanted" ] ||
        lab_fail "$name: adit $command: $status, not $wanted: $(cat "$LAB/said" "$LAB/complaint")"
    lab_say "$name: adit $command: $status, $(head -n 1 "$LAB/complaint")"
}

complains() {
    grep -qE -- "$1" "$LAB/complaint" || lab_fail "no complaint of $1: $(cat "$LAB/complaint")"
}

# What `adit join` says is to be run on the inviting machine, without the command.
answer_said() {
    [ "$(wc -l <"$LAB/said")" -eq 1 ] || lab_fail "more than one line: $(cat "$LAB/said")"
    sed -n "s/^adit join '\(adit:.*\)'\$/\1/p" "$LAB/said"
}

pending() {
    wc -l <"$LAB/home.state/invitations"
}

# same FILE...: nothing has touched these files since `keep FILE...`.
keep() {
    sha256sum "$@" >"$LAB/kept"
}
same() {
    sha256sum --quiet -c "$LAB/kept" || lab_fail "files were changed by what was refused"
}

lab_network
lab_host home 10.77.0.2
lab_host laptop 10.77.0.3
lab_host relay 10.77.0.4
for name in home laptop relay; do
    lab_make_key "$name"
done
# The relay's ini is the one that is shipped, with these nodes' keys.
sed '/^allow/d' "$lab_root/conf/relay.ini" >"$LAB/relay.ini"
echo "allow = ${lab_key[home]} ${lab_key[laptop]}" >>"$LAB/relay.ini"
lab_ini home 10.77.0.2:41000
lab_ini laptop 10.77.0.3:41000
printf '[front]\nlisten = none\n# the last line, without an end' >>"$LAB/home.ini"
cp "$LAB/home.ini" "$LAB/home.before"
lab_web

# Inviting: what is missing or wrong is told, and leaves nothing behind.
expect "$EX_NOINPUT" nobody invite
complains 'adit init'
expect "$EX_CONFIG" home invite
complains '\[relay\]'
expect "$EX_USAGE" home invite --relay 10.77.0.4
complains 'http://'
expect "$EX_USAGE" home invite --relay http://10.77.0.4:3340 --hours 0
expect "$EX_USAGE" home invite --relay http://10.77.0.4:3340 --name 'a b'
cmp -s "$LAB/home.ini" "$LAB/home.before" || lab_fail "a refused invitation changed the ini"
[ ! -e "$LAB/home.state/invitations" ] || lab_fail "a refused invitation is pending"

expect 0 home invite --relay http://10.77.0.4:3340 --name Home
invitation=$(cat "$LAB/said")
[[ "$invitation" =~ ^adit://${lab_key[home]}@10\.77\.0\.4:3340\?name=home\&via=http\&token=([A-Za-z0-9_-]{43})$ ]] ||
    lab_fail "the invitation is: $invitation"
token=${BASH_REMATCH[1]}
[ "$(stat -c %a "$LAB/home.state/invitations")" = 600 ] || lab_fail "others may read the token"
[ "$(head -c "$(stat -c %s "$LAB/home.before")" "$LAB/home.ini" | cmp - "$LAB/home.before")" = "" ] ||
    lab_fail "invite did not leave the ini as it was"

# Joining: what is wrong is told by part.
expect "$EX_USAGE" laptop join
keep "$LAB/laptop.ini" "$LAB/home.ini"
expect "$EX_DATAERR" laptop join "${invitation%%&*}"
complains 'quotes'
expect "$EX_DATAERR" laptop join "${invitation%?}"
complains 'token'
expect "$EX_DATAERR" laptop join "${invitation/@10.77.0.4:3340/@10.77.0.4:x}"
complains 'relay'
expect "$EX_DATAERR" laptop join "${invitation/adit:\/\//adit://x}"
complains 'key'
expect "$EX_DATAERR" home join "$invitation"
complains 'this very node'
expect "$EX_CONFIG" laptop join "$invitation" --allow 'everything:http'
complains 'stays as it is'
same
[ ! -e "$LAB/home.psk" ] || lab_fail "a refused line left a secret behind"

expect 0 laptop join "$invitation"
answer=$(answer_said)
[[ "$answer" == "adit://${lab_key[laptop]}?name=laptop&proof="* ]] || lab_fail "answer: $answer"
! grep -qF -e "$token" "$LAB/said" "$LAB/complaint" "$LAB/laptop.ini" ||
    lab_fail "the token is shown"
mv "$LAB/home.psk" "$LAB/kept.psk" # both nodes' folders are one here
sed -i 's/^psk = home.psk$/psk = kept.psk/' "$LAB/laptop.ini"
# The same line once more says the same once more: the answer may have been lost.
keep "$LAB/laptop.ini"
expect 0 laptop join "$invitation"
[ "$(answer_said)" = "$answer" ] || lab_fail "another answer: $(cat "$LAB/said")"
same
cp -p "$LAB/kept.psk" "$LAB/right.psk"
sed 's/^./x/; s/^xx/xy/' "$LAB/right.psk" >"$LAB/kept.psk" # as of another invitation
expect "$EX_CANTCREAT" laptop join "$invitation"
complains "laptop.ini:[0-9]+:.*known already, as \[peer home\]"
mv "$LAB/right.psk" "$LAB/kept.psk"

# The answer: nobody's but the joiner's, once.
keep "$LAB/home.ini" "$LAB/home.state/invitations"
expect "$EX_NOPERM" home join "${answer/name=laptop/name=laptopx}"
complains 'was changed'
expect "$EX_NOPERM" home join "${answer/${lab_key[laptop]}/${lab_key[relay]}}"
expect "$EX_DATAERR" laptop join "$answer"
complains 'this very node'
same
expect 0 home join "$answer" --allow localhost:8080,10.77.0.2:8080
[ "$(pending)" -eq 0 ] || lab_fail "the invitation can be answered again"
cmp -s "$LAB/laptop.psk" "$LAB/kept.psk" || lab_fail "the two do not share a secret"
[ "$(stat -c %a "$LAB/laptop.psk")" = 600 ] || lab_fail "others may read the secret"
cp "$LAB/home.ini" "$LAB/home.good"
sed -i '/^\[peer laptop\]/,$d' "$LAB/home.ini"
rm "$LAB/laptop.psk"
expect "$EX_NOPERM" home join "$answer"
cp "$LAB/home.good" "$LAB/home.ini"
cp "$LAB/kept.psk" "$LAB/laptop.psk"

# Two others: too many, too late, taken back, a name that is taken.
"$ADIT" key new "$LAB/other.key" >/dev/null
lab_ini other 10.77.0.9:41000
expect 0 home invite
second=$(cat "$LAB/said")
[ "$(pending)" -eq 1 ] || lab_fail "not one pending"
sed -i 's/^name = .*/name = laptop/' "$LAB/other.ini"
expect 0 other join "$second"
taken=$(answer_said)
expect "$EX_CANTCREAT" home join "$taken"
complains 'another \[peer laptop\].*--name'
cp "$LAB/home.state/invitations" "$LAB/invitations"
sed -i 's/^[0-9]*/1/' "$LAB/home.state/invitations"
expect "$EX_NOPERM" home join "$taken" --name other
complains 'too old'
cp "$LAB/invitations" "$LAB/home.state/invitations"
chmod 644 "$LAB/home.state/invitations"
expect "$EX_NOPERM" home join "$taken" --name other
complains 'others may read'
expect 0 home invite --cancel
chmod 600 "$LAB/home.state/invitations"
expect "$EX_NOPERM" home join "$taken" --name other
# At once: none forgets another's.
inviting=()
for _ in {1..16}; do
    "$ADIT" invite -c "$LAB/home.ini" >/dev/null 2>&1 &
    inviting+=($!)
done
wait "${inviting[@]}" || lab_fail "one of 16 invitations at once was refused"
[ "$(pending)" -eq 16 ] || lab_fail "of 16 invitations $(pending) wait"
expect "$EX_CANTCREAT" home invite
complains '16 invitations'

# They reach each other; the secret is needed for that.
lab_drop_udp home laptop
grep -q '^listen = 127.0.0.1:1080' "$LAB/laptop.ini" ||
    printf '[front]\nlisten = 127.0.0.1:1080\n' >>"$LAB/laptop.ini"
lab_relay relay
[ "$(lab_exec relay ss -Hltn 'sport = :3340' | wc -l)" -eq 2 ] || lab_fail "not IPv4 and IPv6"
expect_second=0
sed '/^stun/d' "$LAB/relay.ini" >"$LAB/second.ini"
lab_exec relay timeout 20 "$ADIT" relay -c "$LAB/second.ini" >"$LAB/complaint" 2>&1 ||
    expect_second=$?
[ "$expect_second" -eq 69 ] || lab_fail "a second relay on the same port: $expect_second"
complains 'cannot_listen address=0\.0\.0\.0:3340 error=address already in use'
lab_adit home
mv "$LAB/kept.psk" "$LAB/good.psk"
"$ADIT" key new "$LAB/kept.psk" >/dev/null
lab_adit laptop
if timeout 20 "$ADIT" ping --config "$LAB/laptop.ini" -c 1 home >"$LAB/said" 2>&1; then
    lab_fail "home answers who does not know the secret: $(cat "$LAB/said")"
fi
lab_stop laptop
mv "$LAB/good.psk" "$LAB/kept.psk"
lab_adit laptop
lab_first_page
assert_path laptop home relay
[ "$(lab_status laptop | jq -r '.relays[0].name')" = main ] || lab_fail "the relay has no name"
! grep -qF -e "$token" "$LAB"/*.log || lab_fail "the token is in a log"

# A machine with nothing: an ini like that of adit init, at its default place.
expect 0 home invite --cancel
sed -i 's/^\[node\]$/&\nstun = 10.77.0.4:3478, stun.example.net:3478/' "$LAB/home.ini"
expect 0 home invite
[[ "$(cat "$LAB/said")" == *"&stun=10.77.0.4:3478&stun=stun.example.net:3478&"* ]] ||
    lab_fail "no STUN servers: $(cat "$LAB/said")"
[ ! -e "$XDG_CONFIG_HOME/adit/adit.ini" ] || lab_fail "there is an ini already"
"$ADIT" join - <"$LAB/said" >"$LAB/answer" 2>"$LAB/complaint" || lab_fail "$(cat "$LAB/complaint")"
grep -q '^# Adit' "$XDG_CONFIG_HOME/adit/adit.ini" || lab_fail "join made no commented ini"
[ "$(stat -c %a "$XDG_CONFIG_HOME/adit/home.psk")" = 600 ] || lab_fail "no secret beside the ini"
[ "$(grep -A 2 '^\[node\]$' "$XDG_CONFIG_HOME/adit/adit.ini" | tail -n 2)" = \
    $'stun = 10.77.0.4:3478\nstun = stun.example.net:3478' ] || lab_fail "no STUN servers in [node]"
"$ADIT" check >/dev/null
