#!/usr/bin/env bash
# The commands on good and bad input: exit codes are sysexits, messages say file, line and key.
#
#   no network at all
. "$(dirname "${BASH_SOURCE[0]}")/../lab/lab.sh"

readonly EX_USAGE=64 EX_NOINPUT=66 EX_CANTCREAT=73 EX_CONFIG=78
cd "$LAB"

# expect STATUS PATTERN ARGUMENT...: adit must end with STATUS (a pattern) and say PATTERN.
expect() {
    local wanted=$1 pattern=$2 status=0
    shift 2
    timeout 20 "$ADIT" "$@" >said 2>&1 </dev/null || status=$?
    [[ "$status" =~ ^($wanted)$ ]] || lab_fail "adit $*: status $status, not $wanted: $(cat said)"
    grep -qE -- "$pattern" said || lab_fail "adit $*: does not say /$pattern/: $(cat said)"
    lab_say "adit $*: $status, $(head -n 1 said)"
}

# bad PATTERN < ini: check and run must both refuse it with file, line and PATTERN. What run cannot
# read may have its own exit code.
bad() {
    cat >bad.ini
    expect "$EX_CONFIG" "bad\.ini:$1" check -c bad.ini
    expect "$EX_CONFIG${2:+|$2}" "bad\.ini:$1" run -c bad.ini
}

expect "$EX_USAGE" 'adit'
expect "$EX_USAGE" 'adit' ''
expect "$EX_USAGE" 'nonsense' nonsense
expect 0 'run' --help
for command in init invite join run relay key status ping why bench netcheck check demo; do
    grep -qE "^ *(adit )?$command\b" said || lab_fail "--help does not list $command"
done
for command in init invite join run relay key status ping why bench netcheck check demo; do
    expect 0 "$command" "$command" --help
    expect "$EX_USAGE" 'bogus' "$command" --bogus
done

# Without the three descriptors that everybody expects, none of our own takes their place.
status=0
"$ADIT" help >&- 2>said || status=$?
[ "$status" = 74 ] || lab_fail "help without standard output: status $status: $(cat said)"
status=0
"$ADIT" key show nothing.key <&- >&- 2>&- || status=$?
[ "$status" = "$EX_NOINPUT" ] || lab_fail "nothing to write to: status $status"

# Without $HOME a node runs, and says what it does without.
printf '[node]\nkey = bare.key\n[front]\nlisten = none\n' >bare.ini
"$ADIT" key new bare.key >/dev/null
env -i "$ADIT" run -c bare.ini >bare.log 2>&1 &
bare=$!
missing_is_said() {
    grep -q 'no_state' bare.log && grep -q 'no_control' bare.log
}
lab_wait_until 10 missing_is_said
kill "$bare"
wait "$bare" || lab_fail "a node without \$HOME: status $?: $(cat bare.log)"

# Keys: secret to the file, for its owner only; public to the terminal; never overwritten.
expect 0 '^[[:graph:]]{43,64}$' key new node.key
public=$(cat said)
[ "$(stat -c %a node.key)" = 600 ] || lab_fail "the key file has mode $(stat -c %a node.key)"
! grep -qF -e "$public" node.key || lab_fail "the key file holds the public key and not the secret"
before=$(sha256sum node.key)
expect "$EX_CANTCREAT" 'node\.key' key new node.key
[ "$(sha256sum node.key)" = "$before" ] || lab_fail "key new has overwritten a key"
expect 0 "^$public\$" key show node.key
expect "$EX_NOINPUT" 'nothing\.key' key show nothing.key
echo "not a key" >broken.key
chmod 600 broken.key
expect '65|78' 'broken\.key' key show broken.key
expect 0 . key new other.key
other=$(cat said)

good() {
    cat <<INI
[node]
name = home
key = node.key
control = $LAB/home.sock

[relay main]
url = http://127.0.0.1:3340

[peer laptop]
key = $other
endpoint = 127.0.0.1:41001
relay = main
allow = 127.0.0.1:8080

[front]
listen = 127.0.0.1:1080

[route]
corp.example = peer laptop
INI
}

good >good.ini
expect 0 '' check -c good.ini
expect "$EX_NOINPUT|$EX_CONFIG" 'absent\.ini' check -c absent.ini
expect "$EX_NOINPUT|$EX_CONFIG" 'absent\.ini' run -c absent.ini
good | sed 's/^name = .*/nmae = home/' | bad '2:.*nmae'
good | sed 's/^\[front\]/[frunt]/' | bad '15:.*frunt'
good | sed "s|^key = $other|key = abc|" | bad '10:.*key'
good | sed 's/^endpoint = .*/endpoint = 127.0.0.1:99999/' | bad '11:.*endpoint'
good | sed 's/^relay = .*/relay = nowhere/' | bad '12:.*nowhere'
good | sed 's/^allow = .*/allow = everything:http/' | bad '13:.*allow'
good | sed 's/^listen = .*/listen = 0.0.0.0:1080/' | bad '16:.*listen'
good | sed 's/^corp.example = .*/corp.example = peer nobody/' | bad '19:.*nobody'
good | sed 's/^key = node.key/key = nothing.key/' | bad '3:.*nothing\.key' "$EX_NOINPUT"
chmod 644 node.key
expect "$EX_CONFIG" 'node\.key' check -c good.ini # a secret that others can read is none
chmod 600 node.key

# A node that does not run is said to be so.
expect 69 'home\.sock|not running' status -c good.ini

# init: a commented ini and a key where Adit looks for them, and never twice.
expect 0 'adit\.ini' init --name home
[ -s "$XDG_CONFIG_HOME/adit/adit.ini" ] || lab_fail "init made no adit.ini"
grep -q '^name = home$' "$XDG_CONFIG_HOME/adit/adit.ini" || lab_fail "init forgot the name"
expect 0 '' check
expect "$EX_CANTCREAT" 'adit\.ini' init --name other
grep -q '^name = home$' "$XDG_CONFIG_HOME/adit/adit.ini" || lab_fail "init has overwritten adit.ini"
