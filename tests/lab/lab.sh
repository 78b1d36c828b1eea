# Rootless laboratory: real kernel networks in namespaces of one's own (bash, sourced).
#
# Sourcing this file starts the script again inside fresh user, network, mount and (where the
# system lets us) process namespaces. Nothing outside is touched: not the network, not /etc, not
# the home folder; every process ends with the script. Runs as root and as anybody.
#
#   lab_host NAME ADDRESS        a namespace with eth0 = ADDRESS/24 on the one bridge
#   lab_exec NAME COMMAND...     run there
#   lab_spawn ID NAME COMMAND... run there in the background; log in $LAB/ID.log, pid lab_pid[ID]
#   lab_adit NAME                adit run with $LAB/NAME.ini; returns when it answers `status`
#   lab_relay NAME               adit relay with $LAB/NAME.ini; returns when it listens
#   lab_kill ID, lab_stop ID [SIGNAL]   SIGKILL; SIGTERM or SIGNAL, and a clean exit asserted
#   lab_drop_udp NAME...         arriving UDP is dropped silently, as by a firewall on the way
#   lab_refuse_udp NAME...       leaving UDP is refused: the sender's own system says EPERM
#   lab_heal NAME...             takes both back
#   lab_wait_until SECONDS COMMAND...   polls an event; the script fails at the deadline
#   lab_status, lab_peer, lab_path, lab_path_is, assert_path, lab_steady, lab_await_path
#   lab_three                    the usual topology, see there
#
# Environment: ADIT, LAB_WEBSERVER (programs under test), LAB_KEEP=1 (keep the folder).

set -euo pipefail
export LC_ALL=C
lab_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
ADIT=${ADIT:-$lab_root/build/adit}
LAB_WEBSERVER=${LAB_WEBSERVER:-$lab_root/build-dev/tests/lab_webserver}

lab_skip() {
    echo "skip: $*" >&2
    exit 77
}

# The most private set of namespaces that this system grants. A container may refuse a new /proc,
# and then processes are ended by the trap alone.
lab_enter() {
    local flags
    for flags in "-Urnmp --mount-proc" "-nmp --mount-proc" "-Urnm" "-nm"; do
        # shellcheck disable=SC2086 # several words
        if unshare $flags --fork true 2>/dev/null; then
            # shellcheck disable=SC2086
            LAB_INSIDE=1 exec unshare $flags --kill-child bash "$0" "$@"
        fi
    done
    lab_skip "this system grants no network namespace (unshare -Urn)"
}

[ -n "${LAB_INSIDE:-}" ] || lab_enter "$@"
unset LAB_INSIDE

for lab_program in "$ADIT" "$LAB_WEBSERVER"; do
    [ -x "$lab_program" ] || {
        echo "not built: $lab_program (tests/run builds it)" >&2
        exit 1
    }
done

LAB=$(mktemp -d "${TMPDIR:-/tmp}/lab.XXXXXX")
declare -A lab_pid lab_key
export HOME=$LAB/user XDG_CONFIG_HOME=$LAB/user/config XDG_STATE_HOME=$LAB/user/state \
    XDG_RUNTIME_DIR=$LAB/user/run
mkdir -p -m 700 "$HOME" "$XDG_RUNTIME_DIR"

lab_say() {
    printf '%4d s  %s\n' "$SECONDS" "$*"
}

lab_fail() {
    echo "failed: $*" | tee -a "$LAB/why" >&2
    exit 1
}

lab_show() {
    local file name
    for file in "$LAB"/*.ini "$LAB"/*.log; do
        [ -s "$file" ] || continue
        printf -- '--- %s\n' "${file##*/}"
        tail -n 40 "$file"
    done
    for name in "${!lab_pid[@]}"; do
        [ -S "$LAB/$name.sock" ] || continue
        printf -- '--- status of %s\n' "$name"
        timeout 5 "$ADIT" status -c "$LAB/$name.ini" --json || true
    done
}

lab_cleanup() {
    local status=$? id
    trap - EXIT INT TERM
    set +e
    if [ "$status" -ne 0 ] && [ "$status" -ne 77 ]; then
        lab_show >&2
        [ -s "$LAB/why" ] || echo "a command failed, see the top" >"$LAB/why"
        sed 's/^/=== /' "$LAB/why" >&2
    fi
    for id in "${!lab_pid[@]}"; do
        kill -9 "${lab_pid[$id]}" 2>/dev/null
    done
    wait 2>/dev/null
    if [ -n "${LAB_KEEP:-}" ]; then
        echo "kept: $LAB"
    else
        rm -rf "$LAB"
    fi
    exit "$status"
}
trap lab_cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- network -------------------------------------------------------------------------------------

# A private /run for the namespaces' names, and names that resolve the same everywhere: from the
# hosts file or not at all.
lab_network() {
    mount -t tmpfs tmpfs /run
    mkdir -p /run/netns
    printf '127.0.0.1 localhost\n::1 localhost\n' >"$LAB/hosts"
    echo 'hosts: files' >"$LAB/nsswitch.conf"
    mount --bind "$LAB/hosts" /etc/hosts
    [ ! -e /etc/nsswitch.conf ] || mount --bind "$LAB/nsswitch.conf" /etc/nsswitch.conf
    ip link set lo up
    ip netns add hub
    lab_exec hub ip link add br0 type bridge
    lab_exec hub ip link set br0 up
}

# nsenter and not `ip netns exec`: that one mounts a new /sys, which containers refuse.
lab_exec() {
    local name=$1
    shift
    nsenter --net="/run/netns/$name" -- "$@"
}

lab_host() {
    local name=$1 address=$2
    ip netns add "$name"
    lab_exec hub ip link add "$name" type veth peer name eth0 netns "$name"
    lab_exec hub ip link set "$name" master br0 up
    lab_exec "$name" ip link set lo up
    lab_exec "$name" ip address add "$address/24" dev eth0
    lab_exec "$name" ip link set eth0 up
}

lab_table() {
    local name=$1 hook=$2
    lab_exec "$name" nft -f - <<NFT
table inet lab_$hook
delete table inet lab_$hook
table inet lab_$hook {
    chain cut {
        type filter hook $hook priority 0; policy accept;
        meta l4proto udp counter drop
    }
}
NFT
}

lab_drop_udp() {
    local name
    for name in "$@"; do
        lab_table "$name" input
    done
}

lab_refuse_udp() {
    local name
    for name in "$@"; do
        lab_table "$name" output
    done
}

lab_heal() {
    local name hook
    for name in "$@"; do
        for hook in input output; do
            lab_exec "$name" nft delete table inet "lab_$hook" 2>/dev/null || true
        done
    done
}

# Bytes that crossed a host's cable in both directions: the kernel's word, not Adit's.
lab_cable_bytes() {
    lab_exec "$1" awk '$1 == "eth0:" { printf "%.0f\n", $2 + $10 }' /proc/net/dev
}

# --- processes -----------------------------------------------------------------------------------

lab_spawn() {
    local id=$1 name=$2
    shift 2
    nsenter --net="/run/netns/$name" -- "$@" >>"$LAB/$id.log" 2>&1 &
    lab_pid[$id]=$!
}

# Is the process alive? A zombie that nobody has waited for is not.
lab_is_alive() {
    local pid=${lab_pid[$1]:-none} state
    state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$pid/status" 2>/dev/null) || return 1
    [ -n "$state" ] && [ "$state" != Z ]
}

lab_is_dead() {
    ! lab_is_alive "$1"
}

# Waits for a process and forgets it; its exit status is the result.
lab_join() {
    local pid=${lab_pid[$1]} status=0
    wait "$pid" 2>/dev/null || status=$?
    unset "lab_pid[$1]"
    return "$status"
}

lab_kill() {
    lab_is_alive "$1" || lab_fail "$1 was to be killed, but it has ended by itself"
    kill -9 "${lab_pid[$1]}"
    lab_join "$1" || true
}

lab_stop() {
    local status=0 signal=${2:-TERM}
    kill -"$signal" "${lab_pid[$1]}"
    lab_wait_until 15 lab_is_dead "$1"
    lab_join "$1" || status=$?
    [ "$status" -eq 0 ] || lab_fail "$1 ended with status $status after SIG$signal"
}

lab_wait_until() {
    local seconds=$1 deadline
    shift
    deadline=$((SECONDS + seconds))
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || lab_fail "not within $seconds s: $*"
        sleep 0.1
    done
}

lab_rss_kib() {
    sed -n 's/^VmRSS:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/${lab_pid[$1]}/status"
}

# --- adit ----------------------------------------------------------------------------------------

# Makes NAME's key; the public one is lab_key[NAME].
lab_make_key() {
    lab_key[$1]=$("$ADIT" key new "$LAB/$1.key")
    [ -n "${lab_key[$1]}" ] || lab_fail "adit key new printed nothing"
}

# lab_ini NAME LISTEN: the [node] section; the caller appends the others.
lab_ini() {
    cat >"$LAB/$1.ini" <<INI
[node]
name = $1
key = $LAB/$1.key
listen = $2
state = $LAB/$1.state
control = $LAB/$1.sock
log = info

INI
}

lab_status() {
    timeout 10 "$ADIT" status -c "$LAB/$1.ini" --json
}

lab_answers() {
    lab_is_alive "$1" || lab_fail "adit of $1 ended: $(tail -n 3 "$LAB/$1.log")"
    lab_status "$1" >/dev/null 2>&1
}

lab_adit() {
    lab_spawn "$1" "$1" "$ADIT" run -c "$LAB/$1.ini"
    lab_wait_until 15 lab_answers "$1"
}

# lab_listens ID NAME PORT
lab_listens() {
    lab_is_alive "$1" || lab_fail "$1 ended: $(tail -n 3 "$LAB/$1.log")"
    [ -n "$(lab_exec "$2" ss -Hltn "sport = :$3")" ]
}

lab_relay() {
    lab_spawn "$1" "$1" "$ADIT" relay -c "$LAB/$1.ini"
    lab_wait_until 15 lab_listens "$1" "$1" 3340
}

# lab_peer NODE PEER FILTER: one thing that NODE's status says of PEER, "none" if it says nothing.
lab_peer() {
    lab_status "$1" 2>/dev/null |
        jq -r --arg peer "$2" "[.peers[] | select(.name == \$peer) | $3][0] // \"none\"" || echo none
}

lab_path() {
    lab_peer "$1" "$2" '.path.kind?'
}

lab_path_is() {
    [ "$(lab_path "$1" "$2")" = "$3" ]
}

assert_path() {
    lab_path_is "$1" "$2" "$3" || lab_fail "path $1 -> $2 is $(lab_path "$1" "$2") and not $3"
}

# lab_steady NODE PEER COMMAND...: the command must succeed without the path changing meanwhile.
lab_steady() {
    local node=$1 peer=$2 before after
    shift 2
    before=$(lab_peer "$node" "$peer" .path_changes)
    "$@"
    after=$(lab_peer "$node" "$peer" .path_changes)
    [ "$after" -eq "$before" ] || lab_fail "$*: the path changed $((after - before)) times"
}

lab_await_path() {
    lab_wait_until 30 lab_path_is "$1" "$2" "$3"
}

# --- the usual topology --------------------------------------------------------------------------

lab_peers_section() {
    local name=$1 peer=$2
    cat <<INI
[relay main]
url = http://10.77.0.4:3340

[peer $peer]
key = ${lab_key[$peer]}
relay = main
INI
}

# Files to fetch: "small", and if asked for, "big" of LAB_BIG bytes.
lab_web() {
    mkdir -p "$LAB/www"
    echo "a page of home" >"$LAB/www/small"
    lab_spawn web home "$LAB_WEBSERVER" 0.0.0.0 8080 "$LAB/www"
    lab_wait_until 10 lab_listens web home 8080
}

lab_big_file() {
    LAB_BIG=$1
    head -c "$LAB_BIG" /dev/urandom >"$LAB/www/big"
    LAB_BIG_SUM=$(sha256sum <"$LAB/www/big")
}

# lab_paced SECONDS: fetches the big file in the background, at a rate that takes about so long.
# lab_paced_end WHAT: until that has ended well; leaves the longest time in which nothing came, in ms, in
# lab_pause.
lab_paced() {
    rm -f "$LAB/begun" "$LAB/transfer.log"
    PACED_BEGUN=$LAB/begun lab_spawn transfer laptop python3 "$lab_root/tests/lab/paced.py" \
        127.0.0.1:1080 home.peer 8080 /big $((LAB_BIG / $1))
    lab_wait_until 20 test -e "$LAB/begun"
}

lab_paced_end() {
    local sum
    lab_wait_until 60 lab_is_dead transfer
    lab_join transfer || lab_fail "$1: the transfer broke: $(cat "$LAB/transfer.log")"
    read -r sum lab_pause <"$LAB/transfer.log"
    [ "$sum" = "${LAB_BIG_SUM%% *}" ] || lab_fail "$1: the file arrived changed"
}

#   home 10.77.0.2      laptop 10.77.0.3      relay 10.77.0.4
#   web :8080           front :1080           adit relay :3340
#   exit, UDP :41000    UDP :41000
#        |                   |                     |
#        +------------------br0--------------------+
#
# Makes hosts, keys, inis and the web server; starts no Adit. Text in LAB_NODE goes into both
# nodes' [node], so that a script can set a limit.
lab_three() {
    lab_network
    lab_host home 10.77.0.2
    lab_host laptop 10.77.0.3
    lab_host relay 10.77.0.4
    local name
    for name in home laptop relay; do
        lab_make_key "$name"
    done
    cat >"$LAB/relay.ini" <<INI
[server]
listen = 10.77.0.4:3340
key = $LAB/relay.key
allow = ${lab_key[home]}
allow = ${lab_key[laptop]}
INI
    lab_ini home 10.77.0.2:41000
    lab_ini laptop 10.77.0.3:41000
    for name in home laptop; do
        [ -z "${LAB_NODE:-}" ] || sed -i "s/^log = info\$/&\n$LAB_NODE/" "$LAB/$name.ini"
    done
    lab_peers_section home laptop >>"$LAB/home.ini"
    echo "allow = any" >>"$LAB/home.ini"
    lab_peers_section laptop home >>"$LAB/laptop.ini"
    printf 'endpoint = 10.77.0.2:41000\n\n[front]\nlisten = 127.0.0.1:1080\n' >>"$LAB/laptop.ini"
    lab_web
}

lab_three_start() {
    lab_relay relay
    lab_adit home
    lab_adit laptop
}

# curl at laptop through the front; arguments are curl's.
lab_curl() {
    lab_exec laptop curl -sS --fail --socks5-hostname 127.0.0.1:1080 "$@"
}

# Brings the session up and says which way it goes.
lab_first_page() {
    lab_wait_until 30 lab_page_arrives
}

lab_page_arrives() {
    [ "$(lab_curl --max-time 10 http://home.peer:8080/small 2>>"$LAB/curl.log")" = "a page of home" ]
}

lab_megabytes_per_second() {
    echo "$(($1 / 1000000 / ($2 > 0 ? $2 : 1))) MB/s"
}

# The big file down, hash compared.
lab_download() {
    local sum start=$SECONDS
    sum=$(lab_curl --max-time 240 http://home.peer:8080/big | sha256sum) || lab_fail "download broke"
    [ "$sum" = "$LAB_BIG_SUM" ] || lab_fail "the file arrived changed"
    lab_say "$LAB_BIG bytes down, hash equal, $(lab_megabytes_per_second "$LAB_BIG" $((SECONDS - start)))"
}

# lab_upload BYTES: the first BYTES of the big file up, hash compared.
lab_upload() {
    local said start=$SECONDS
    head -c "$1" "$LAB/www/big" >"$LAB/up"
    said=$(lab_curl --max-time 240 -T "$LAB/up" http://home.peer:8080/up) || lab_fail "upload broke"
    [ "$said" = "$1 $(sha256sum <"$LAB/up" | cut -d' ' -f1)" ] || lab_fail "uploaded, but: $said"
    lab_say "$1 bytes up, hash equal, $(lab_megabytes_per_second "$1" $((SECONDS - start)))"
    rm "$LAB/up"
}

# lab_many COUNT BYTES: as many curls at once, each with a file of its own.
lab_many() {
    local count=$1 i
    mkdir -p "$LAB/many"
    for ((i = 1; i <= count; i++)); do
        head -c "$2" /dev/urandom >"$LAB/www/many$i"
    done
    seq "$count" | lab_exec laptop xargs -P "$count" -I{} \
        curl -sS --fail --max-time 120 --socks5-hostname 127.0.0.1:1080 -o "$LAB/many/{}" \
        "http://home.peer:8080/many{}" || lab_fail "some of $count parallel curls failed"
    for ((i = 1; i <= count; i++)); do
        cmp -s "$LAB/www/many$i" "$LAB/many/$i" || lab_fail "file $i of $count arrived changed"
    done
    lab_say "$count parallel curls of $2 bytes, all equal"
}
