#!/usr/bin/env bash
# Adit and what one would take instead of it, measured in one run, in turns: see README.md here.
#
#   bench.sh [--quick] [--rounds N] [--readme] [--only NAME,NAME...] [--lan | --wan | --fair] [--json FILE]
#            [--rates MBIT,MBIT...] [--losses PERCENT,PERCENT...]
#
# The long path is measured once for each cell unless --rounds says more: a round takes minutes.
#
#   home 10.77.0.2 ------+             +----- laptop 10.77.0.3      veth, MTU 1500
#   the server, all      |             |      the application,
#   servers' ends        +----[hub]----+      all clients' ends
#                        |             |
#   rhome 10.77.0.5 -X---+             +-X--- rlaptop 10.77.0.6     X = UDP is dropped: relay path
#                        |
#                        +--- relay 10.77.0.4
#
# On the long path, laptop's cable is taken out of the bridge and goes through bench_link.
BENCH_LOAD=${BENCH_LOAD:-$(cd "$(dirname "$0")/../.." && pwd)/build/tests/bench/bench_load}
BENCH_LINK=${BENCH_LINK:-${BENCH_LOAD%load}link}
BENCH_TUNNEL=${BENCH_TUNNEL:-${BENCH_LOAD%load}tunnel}
export BENCH_LOAD BENCH_LINK LAB_WEBSERVER=$BENCH_LOAD
. "$(dirname "${BASH_SOURCE[0]}")/../lab/lab.sh"

readonly TARGET_PORT=7000 SSH_USER=bench SSH_UID=1000
hz=$(getconf CLK_TCK)
rounds=3 wan_rounds=1 bulk_s=1.5 short_s=1 wan_s=4 idle=1000 parts="lan wan" only="" json="" readme=""
wan_rates="20 100 500" wan_losses="0 0.1 1 5" wan_names="plain_microsocks ssh_aes128gcm ssh_bbr adit adit_cubic"
while [ $# -gt 0 ]; do
    case $1 in
    --quick) rounds=1 bulk_s=0.6 short_s=0.4 wan_s=1.6 wan_rates="100" wan_losses="0 1" ;;
    --rounds) rounds=$2 wan_rounds=$2 && shift ;;
    --only) only=${2//,/ } && shift ;;
    --lan) parts=lan ;;
    --wan) parts=wan ;;
    --fair) parts=fair ;;
    --rates) wan_rates=${2//,/ } && shift ;;
    --losses) wan_losses=${2//,/ } && shift ;;
    --json) json=$2 && shift ;;
    --readme) readme=$lab_root/README.md ;;
    *) echo "bench.sh: unknown option $1" >&2 && exit 64 ;;
    esac
    shift
done

results=$LAB/results # lines: round contender metric value
: >"$results"
declare -A front=() host=() place=() parts_of=() why_not=() version=()
names=()

# --- contenders ------------------------------------------------------------------------------
#
# start_NAME brings one up in the namespaces home and laptop (or those that place[NAME] says), and
# says in parts_of[NAME] which processes of lab_pid it is made of. It may return nonzero; then it
# is named and left out. A proxy whose client is at laptop has its front there on loopback.

need() {
    command -v "$1" >/dev/null || { echo "$1 is not installed" >"$LAB/why_not" && return 1; }
}

await_listen() {
    local deadline=$((SECONDS + 10))
    until [ -n "$(lab_exec "$2" ss -Hltn "sport = :$3")" ]; do
        lab_is_alive "$1" && [ "$SECONDS" -lt "$deadline" ] || {
            echo "$1 does not listen: $(tail -n 2 "$LAB/$1.log" | tr '\n' ' ')" >"$LAB/why_not"
            return 1
        }
        sleep 0.05
    done
}

start_plain_microsocks() {
    need microsocks || return
    lab_spawn microsocks home microsocks -i 10.77.0.2 -p 1081
    front[$1]=10.77.0.2:1081 host[$1]=127.0.0.1 parts_of[$1]=microsocks
    await_listen microsocks home 1081
}

start_plain_dante() {
    need danted || return
    cat >"$LAB/danted.conf" <<CONF
logoutput: $LAB/danted.log
internal: 10.77.0.2 port = 1082
external: lo
clientmethod: none
socksmethod: none
user.privileged: root
user.unprivileged: root
client pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }
socks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }
CONF
    lab_spawn danted home danted -f "$LAB/danted.conf" -p "$LAB/danted.pid"
    front[$1]=10.77.0.2:1082 host[$1]=127.0.0.1 parts_of[$1]=danted
    await_listen danted home 1082
}

# sshd separates privileges by changing its user, which a namespace with one user cannot; so it runs
# as a user that is not root, in one more namespace where that is our name.
start_sshd() {
    ! lab_is_alive sshd 2>/dev/null || return 0
    need sshd || return
    [ -f "$LAB/ssh_key" ] || {
        ssh-keygen -q -t ed25519 -N '' -f "$LAB/ssh_key" &&
            ssh-keygen -q -t ed25519 -N '' -f "$LAB/ssh_host"
    } || return
    cp "$LAB/ssh_key.pub" "$LAB/ssh_authorized"
    cat >"$LAB/sshd.conf" <<CONF
ListenAddress 10.77.0.2:2222
HostKey $LAB/ssh_host
AuthorizedKeysFile $LAB/ssh_authorized
PidFile none
StrictModes no
UsePAM no
Ciphers chacha20-poly1305@openssh.com,aes128-gcm@openssh.com
CONF
    lab_spawn sshd home unshare -U --map-user=$SSH_UID --map-group=$SSH_UID \
        "$(command -v sshd)" -D -e -f "$LAB/sshd.conf"
    await_listen sshd home 2222
}

start_ssh() {
    local name=$1 port=$2 cipher=$3
    start_sshd || return
    lab_spawn "$name" laptop ssh -F none -N -D "127.0.0.1:$port" -p 2222 -i "$LAB/ssh_key" \
        -o "Ciphers=$cipher" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
        -o BatchMode=yes -o LogLevel=ERROR "$SSH_USER@10.77.0.2"
    front[$name]=127.0.0.1:$port host[$name]=127.0.0.1 parts_of[$name]="$name sshd"
    await_listen "$name" laptop "$port"
}

start_ssh_chacha20() {
    start_ssh "$1" 1083 chacha20-poly1305@openssh.com
}

start_ssh_aes128gcm() {
    start_ssh "$1" 1084 aes128-gcm@openssh.com
}

# The kernel's BBR, where it has one. Each end's choice is made when its socket is, so before sshd.
start_ssh_bbr() {
    local ok=0
    ! lab_is_alive sshd 2>/dev/null || lab_kill sshd
    choose_tcp bbr || { echo "the kernel has no tcp_bbr" >"$LAB/why_not" && return 1; }
    start_ssh "$1" 1087 aes128-gcm@openssh.com || ok=1
    choose_tcp "$usual_tcp"
    return $ok
}

# The congestion control of the kernel's TCP at both ends, for sockets that are made from now on.
choose_tcp() {
    lab_exec home sysctl -qw "net.ipv4.tcp_congestion_control=$1" 2>/dev/null &&
        lab_exec laptop sysctl -qw "net.ipv4.tcp_congestion_control=$1" 2>/dev/null
}

start_shadowsocks() {
    local name=$1 port=$2 method=$3
    need ss-server || return
    lab_spawn "${name}_server" home ss-server -s 10.77.0.2 -p "$((port + 1000))" -k bench -m "$method"
    lab_spawn "${name}_local" laptop ss-local -s 10.77.0.2 -p "$((port + 1000))" -k bench \
        -m "$method" -b 127.0.0.1 -l "$port"
    front[$name]=127.0.0.1:$port host[$name]=127.0.0.1 parts_of[$name]="${name}_server ${name}_local"
    await_listen "${name}_server" home "$((port + 1000))" &&
        await_listen "${name}_local" laptop "$port"
}

start_ss_chacha20() {
    start_shadowsocks "$1" 1085 chacha20-ietf-poly1305
}

start_ss_aes256gcm() {
    start_shadowsocks "$1" 1086 aes-256-gcm
}

# The limit: bulk with nothing but the AEAD, one connection at a time.
start_bare() {
    local name=$1 port=$2 kind=$3
    lab_spawn "${name}_exit" home "$BENCH_TUNNEL" exit 10.77.0.2 "$((port + 1000))" $TARGET_PORT "$kind"
    lab_spawn "$name" laptop "$BENCH_TUNNEL" front "$port" 10.77.0.2 "$((port + 1000))" "$kind"
    front[$name]=127.0.0.1:$port host[$name]=127.0.0.1 parts_of[$name]="$name ${name}_exit"
    await_listen "$name" laptop "$port"
}

start_bare_tunnel_aes256gcm() {
    start_bare "$1" 1088 aes256gcm
}

start_bare_tunnel_chacha20() {
    start_bare "$1" 1089 chacha20
}

# Two nodes: the exit at host $2 and the front at host $3.
start_nodes() {
    local name=$1 exit=$2 entry=$3
    front[$name]=127.0.0.1:1080 host[$name]=$exit.peer place[$name]="$exit $entry"
    parts_of[$name]="$exit $entry"
    lab_adit "$exit"
    lab_adit "$entry"
    lab_wait_until 30 try_once "$name"
}

start_adit() {
    start_nodes "$1" home laptop
    await_state adit
}

start_adit_cubic() {
    sed -i 's/^\[node\]/&\ncongestion = cubic/' "$LAB/home.ini" "$LAB/laptop.ini"
    start_nodes "$1" home laptop
    sed -i '/^congestion = cubic/d' "$LAB/home.ini" "$LAB/laptop.ini"
    await_state "$1"
}

start_adit_relay() {
    start_nodes "$1" rhome rlaptop
    parts_of[$1]+=" relay"
    await_state adit_relay
}

stop() {
    local id
    for id in ${parts_of[$1]:-}; do
        [ "$id" != relay ] && lab_is_alive "$id" && lab_kill "$id"
    done
    return 0
}

# --- measuring -------------------------------------------------------------------------------

# run NAME WHAT SECONDS [COUNT]: one line of "name value" pairs.
run() {
    local name=$1 at=${place[$1]:-home laptop}
    shift
    lab_exec "${at##* }" timeout 120 "$BENCH_LOAD" run "${front[$name]}" "${host[$name]}" $TARGET_PORT "$@"
}

try_once() {
    run "$1" new 0.05 >/dev/null 2>&1
}

# Clock ticks that the contender's processes, and their children dead or alive, have run.
ticks() {
    local id pids=""
    for id in ${parts_of[$1]:-}; do
        pids+=" ${lab_pid[$id]}"
    done
    cat /proc/[0-9]*/stat 2>/dev/null | awk -v roots="$pids" '
        BEGIN { n = split(roots, r, " "); for (i = 1; i <= n; i++) in_tree[r[i]] = 1 }
        { pid = $1; sub(/^.*\) /, ""); parent[pid] = $2; own[pid] = $12 + $13 + $14 + $15 }
        END {
            do { grown = 0
                for (p in parent) if (!(p in in_tree) && (parent[p] in in_tree)) { in_tree[p] = 1; grown = 1 }
            } while (grown)
            for (p in own) if (p in in_tree) sum += own[p]
            print sum + 0
        }'
}

# The path that a contender of ours must be on; nothing for the others.
state_of() {
    case $1 in
    adit | adit_cubic) echo "$(lab_path laptop home) $(lab_peer laptop home .path_changes)" ;;
    adit_relay) echo "$(lab_path rlaptop rhome) $(lab_peer rlaptop rhome .path_changes)" ;;
    esac
}

# The path that a contender of ours has to be on for its numbers to count.
wanted_path() {
    case $1 in
    adit | adit_cubic) echo direct ;;
    adit_relay) echo relay ;;
    esac
}

# A session at rest looks for no better path, so there must be some traffic.
is_on_its_path() {
    try_once "$1" && lab_path_is "${place[$1]##* }" "${place[$1]% *}" "$(wanted_path "$1")"
}

await_state() {
    [ -z "$(wanted_path "$1")" ] || lab_wait_until 30 is_on_its_path "$1"
}

# measure ROUND NAME METRIC WHAT SECONDS [COUNT]: what was measured while the path changed does not
# count; it is measured again, and how often that happened is part of the results.
measure() {
    local try
    for try in 1 2 3; do
        await_state "$2"
        measure_once "$@" && return
    done
    lab_fail "$2 $3: the path did not keep still in $try tries"
}

measure_once() {
    local round=$1 name=$2 metric=$3 before said from to
    shift 3
    before=$(state_of "$name")
    from=$(ticks "$name")
    said=$(run "$name" "$@" 2>"$LAB/run.log") || {
        echo "$round $name $metric.failed 1" >>"$results"
        lab_say "$name $metric: $(tail -n 1 "$LAB/run.log")"
        return 0
    }
    to=$(ticks "$name")
    [ "$before" = "$(state_of "$name")" ] || {
        echo "$round $name $metric.path_changed 1" >>"$results"
        lab_say "$name $metric: the path was $before and became $(state_of "$name"): once more"
        return 1
    }
    echo "$said" | awk -v r="$round" -v n="$name" -v m="$metric" -v t=$((to - from)) -v hz="$hz" '{
        for (i = 1; i < NF; i += 2) { print r, n, m "." $i, $(i + 1); v[$i] = $(i + 1) }
        if (v["bytes"] > 0) print r, n, m ".cpu_s_per_gib", t / hz / (v["bytes"] / 1073741824)
    }' >>"$results"
}

# --- the short path --------------------------------------------------------------------------

lan_round() {
    local round=$1 name i
    # Each round begins with another contender, so that none is always the one after the heaviest.
    for ((i = 0; i < ${#names[@]}; i++)); do
        name=${names[((i + round) % ${#names[@]})]}
        measure "$round" "$name" down down $bulk_s
        measure "$round" "$name" up up $bulk_s
        [[ $name != bare_* ]] || continue
        measure "$round" "$name" many down $bulk_s 100
        measure "$round" "$name" rr rr $short_s
        measure "$round" "$name" mixed mixed $bulk_s
        measure "$round" "$name" conn conn $short_s
        measure "$round" "$name" new new $short_s
    done
}

pss_kib() {
    local id sum=0 one
    for id in ${parts_of[$1]:-}; do
        one=$(sed -n 's/^Pss: *\([0-9]*\) kB/\1/p' "/proc/${lab_pid[$id]}/smaps_rollup")
        sum=$((sum + one))
    done
    echo $((sum / $(wc -w <<<"${parts_of[$1]}")))
}

# Fresh processes: at rest with a session, with idle connections, and after those are closed.
memory() {
    local rest held after opener
    stop adit
    start_adit adit
    rest=$(pss_kib adit)
    coproc HOLD { run adit idle 0 $idle; }
    opener=$HOLD_PID
    read -r -t 60 -u "${HOLD[0]}" held || lab_fail "could not open $idle connections"
    held=$(pss_kib adit)
    echo >&"${HOLD[1]}"
    wait "$opener"
    sleep 4 # buffers go back after two seconds of silence
    after=$(pss_kib adit)
    {
        echo "0 adit memory.rest_kib $rest"
        echo "0 adit memory.per_connection_bytes $(((held - rest) * 1024 / idle))"
        echo "0 adit memory.after_kib $after"
    } >>"$results"
}

# --- the long path ---------------------------------------------------------------------------

# long_link MBIT LOSS SEED: laptop's cable becomes 40 ms long.
long_link() {
    ! lab_is_alive link 2>/dev/null || lab_kill link
    lab_spawn link hub "$BENCH_LINK" join laptop far "$1" 20 "$2" 40 "$3"
}

lengthen() {
    lab_exec hub ip link add near type veth peer name far
    lab_exec hub ip link set near master br0 up
    lab_exec hub ip link set laptop nomaster
    lab_exec hub ip link set far up
    lab_exec hub "$BENCH_LINK" plain near
    lab_exec laptop "$BENCH_LINK" plain eth0
}

# wan_cell ROUND MBIT LOSS: the frames that are lost differ from round to round.
wan_cell() {
    local round=$1 rate=$2 loss=$3 name
    long_link "$rate" "$loss" "$round"
    for name in $wan_names; do
        [[ " ${names[*]} ${wan_only[*]} " == *" $name "* ]] || continue
        stop "$name"
        "start_$name" "$name" || {
            [ -s "$LAB/why_not" ] || lab_fail "$name does not start at $rate Mbit/s, $loss %"
            why_not[$name]=$(cat "$LAB/why_not") && rm -f "$LAB/why_not"
            continue
        }
        measure "$round" "$name" "wan_${rate}_${loss}" mixed $wan_s
        stop "$name"
    done
}

# A minute beside one flow of the kernel's TCP, which has begun earlier: CUBIC, or Reno where an
# ordinary user may not choose that.
fair() {
    local name=$1 queue tcp
    for tcp in cubic reno; do
        choose_tcp $tcp && break
    done
    lab_say "TCP is $tcp"
    for queue in 20 40 120; do
        ! lab_is_alive link 2>/dev/null || lab_kill link
        lab_spawn link hub "$BENCH_LINK" join laptop far 100 20 0 "$queue"
        start_plain_microsocks plain_microsocks || lab_fail "microsocks does not start"
        "start_$name" "$name" || lab_fail "$name does not start"
        run plain_microsocks down 65 >"$LAB/tcp.out" 2>"$LAB/tcp.log" &
        sleep 2
        measure 0 "$name" "fair_$queue.$tcp" down 60
        wait $!
        awk -v n="$name" -v m="fair_$queue.$tcp" '{ for (i = 1; i < NF; i += 2) if ($i == "mbps") print 0, n, m "_mbps", $(i + 1) }' \
            "$LAB/tcp.out" >>"$results"
        stop "$name"
        stop plain_microsocks
    done
}

# --- results ---------------------------------------------------------------------------------

to_json() {
    jq -Rn --arg cpus "$(nproc)" --arg kernel "$(uname -r)" --arg rounds "$rounds" --arg wan_rounds "$wan_rounds" \
        --argjson left_out "$(for n in "${!why_not[@]}"; do printf '%s\n%s\n' "$n" "${why_not[$n]}"; done |
            jq -Rn '[inputs] | [range(0; length; 2) as $i | {(.[$i]): .[$i + 1]}] | add // {}')" '
        def median: sort | if length % 2 == 1 then .[(length - 1) / 2]
                           else (.[length / 2 - 1] + .[length / 2]) / 2 end;
        [inputs | split(" ") | {name: .[1], metric: .[2], value: (.[3] | tonumber)}]
        | group_by(.name)
        | map({key: .[0].name, value: (group_by(.metric)
            | map({key: .[0].metric, value: (map(.value) | {median: median, all: .})}) | from_entries)})
        | {cpus: ($cpus | tonumber), kernel: $kernel, rounds: ($rounds | tonumber),
           wan_rounds: ($wan_rounds | tonumber), left_out: $left_out, contenders: from_entries}' "$results"
}

# table FILE: markdown, from the JSON.
table() {
    jq -r --arg names "${names[*]} ${wan_only[*]}" --arg wan "$wan_names" --arg rates "$wan_rates" --arg losses "$wan_losses" '
        def m($n; $k): .contenders[$n][$k].median // null;
        def show($digits): if . == null then "-" else . * pow(10; $digits) | round / pow(10; $digits) | tostring end;
        def gbit: if . == null then null else . / 1000 end;
        . as $all | ($names | split(" ")) as $names |
        "| | down Gbit/s | up Gbit/s | CPU s/GiB down | up | 100 streams Gbit/s | worst share | p50 µs | p99 µs | p99 under bulk µs | connections/s | new µs |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
        ($names[] as $n | $all | select(.contenders[$n]["down.mbps"]) | "| " + ([($n | gsub("_"; " ")),
            (m($n; "down.mbps") | gbit | show(2)), (m($n; "up.mbps") | gbit | show(2)),
            (m($n; "down.cpu_s_per_gib") | show(2)), (m($n; "up.cpu_s_per_gib") | show(2)),
            (m($n; "many.mbps") | gbit | show(2)), (m($n; "many.worst") | show(2)),
            (m($n; "rr.p50") | show(0)), (m($n; "rr.p99") | show(0)), (m($n; "mixed.p99") | show(0)),
            (m($n; "conn.per_s") | show(0)), (m($n; "new.p50") | show(0))] | join(" | ")) + " |"),
        "",
        (select(m("adit"; "memory.rest_kib")) | "Memory of one process (PSS): "
            + "\(m("adit"; "memory.rest_kib")) KiB at rest, \(m("adit"; "memory.per_connection_bytes")) bytes per idle "
            + "connection, \(m("adit"; "memory.after_kib")) KiB after they are closed.", ""),
        ([$names[] | select(IN($wan | split(" ")[]))] as $far
        | select([.contenders[][] ] | length > 0)
        | select([.contenders[] | keys[] | select(startswith("wan_"))] | length > 0)
        | "| 40 ms, Mbit/s, loss | " + ($far | map(gsub("_"; " ") + ": Mbit/s, p50, p99 ms") | join(" | ")) + " |",
        "|---|" + ($far | map("---|") | join("")),
        (($rates | split(" "))[] as $r | ($losses | split(" "))[] as $l
            | "| \($r), \($l) % | " + ([$far[] as $n | "wan_\($r)_\($l)" as $k
                | [($all | m($n; "\($k).mbps") | show(1)),
                   ($all | m($n; "\($k).p50") | if . then . / 1000 else null end | show(0)),
                   ($all | m($n; "\($k).p99") | if . then . / 1000 else null end | show(0))] | join(", ")]
                | join(" | ")) + " |")),
        "",
        (.left_out | to_entries[] | "Left out: \(.key): \(.value)")' "$1"
}

# into_readme TABLE: puts it where the marks are.
into_readme() {
    grep -q '^<!-- bench -->$' "$readme" || lab_fail "no place for the table in $readme"
    awk -v table="$1" '
        /^<!-- bench -->$/ { print; while ((getline line < table) > 0) print line; skip = 1; next }
        /^<!-- end of bench -->$/ { skip = 0 }
        !skip' "$readme" >"$LAB/readme" && cat "$LAB/readme" >"$readme"
}

# --- the run ---------------------------------------------------------------------------------

setup() {
    local name
    lab_network
    lab_host home 10.77.0.2
    lab_host laptop 10.77.0.3
    lab_host relay 10.77.0.4
    lab_host rhome 10.77.0.5
    lab_host rlaptop 10.77.0.6
    lab_drop_udp rhome rlaptop
    printf 'root:x:0:0::%s:/bin/sh\n%s:x:%s:%s::%s:/bin/sh\n' "$HOME" $SSH_USER $SSH_UID $SSH_UID \
        "$HOME" >"$LAB/passwd"
    mount --bind "$LAB/passwd" /etc/passwd
    mkdir -p /run/sshd
    for name in home laptop relay rhome rlaptop; do
        lab_make_key "$name"
    done
    {
        printf '[server]\nlisten = 10.77.0.4:3340\nkey = %s\n' "$LAB/relay.key"
        for name in home laptop rhome rlaptop; do
            printf 'allow = %s\n' "${lab_key[$name]}"
        done
    } >"$LAB/relay.ini"
    make_pair home 10.77.0.2 laptop 10.77.0.3
    make_pair rhome 10.77.0.5 rlaptop 10.77.0.6
    lab_relay relay
    lab_spawn target home "$BENCH_LOAD" serve 0.0.0.0 $TARGET_PORT
    lab_spawn rtarget rhome "$BENCH_LOAD" serve 0.0.0.0 $TARGET_PORT
    lab_wait_until 10 lab_listens target home $TARGET_PORT
    lab_wait_until 10 lab_listens rtarget rhome $TARGET_PORT
}

make_pair() {
    lab_ini "$1" "$2:41000"
    lab_ini "$3" "$4:41000"
    sed -i 's/^log = info/log = warn/' "$LAB/$1.ini" "$LAB/$3.ini"
    lab_peers_section "$1" "$3" >>"$LAB/$1.ini"
    echo "allow = any" >>"$LAB/$1.ini"
    lab_peers_section "$3" "$1" >>"$LAB/$3.ini"
    printf 'endpoint = %s:41000\n\n[front]\nlisten = 127.0.0.1:1080\n' "$2" >>"$LAB/$3.ini"
}

setup
usual_tcp=$(lab_exec home sysctl -n net.ipv4.tcp_congestion_control)
for name in plain_microsocks plain_dante ssh_chacha20 ssh_aes128gcm ss_chacha20 ss_aes256gcm \
    bare_tunnel_aes256gcm bare_tunnel_chacha20 adit adit_relay; do
    [ -z "$only" ] || [[ " $only " == *" $name "* ]] || continue
    if "start_$name" "$name" && { [[ $name == adit* ]] || try_once "$name"; }; then
        names+=("$name")
        lab_say "$name is up"
    else
        why_not[$name]=$(cat "$LAB/why_not" 2>/dev/null || echo "it starts, but nothing gets through")
        rm -f "$LAB/why_not"
        lab_say "$name is left out: ${why_not[$name]}"
    fi
done
# These differ from others by their congestion control only, which the short path does not show.
wan_only=()
for name in ssh_bbr adit_cubic; do
    [[ $parts == *wan* ]] && { [ -z "$only" ] || [[ " $only " == *" $name "* ]]; } && wan_only+=("$name")
done
[ $((${#names[@]} + ${#wan_only[@]})) -gt 0 ] || lab_fail "nothing to measure"

if [[ $parts == *lan* ]]; then
    for ((round = 1; round <= rounds; round++)); do
        lan_round "$round"
        lab_say "round $round of $rounds done"
    done
    [[ " ${names[*]} " != *" adit "* ]] || memory
fi
if [[ $parts == *fair* ]]; then
    for name in "${names[@]}"; do
        stop "$name"
    done
    lengthen
    fair adit
    lab_say "a minute beside TCP, thrice, is done"
fi
if [[ $parts == *wan* ]]; then
    for name in "${names[@]}"; do
        stop "$name"
    done
    lengthen
    for ((round = 1; round <= wan_rounds; round++)); do
        for rate in $wan_rates; do
            for loss in $wan_losses; do
                wan_cell "$round" "$rate" "$loss"
            done
        done
        lab_say "round $round of $wan_rounds on the long path done"
    done
fi

to_json >"$LAB/bench.json"
[ -z "$json" ] || cp "$LAB/bench.json" "$json"
cat "$LAB/bench.json"
echo
table "$LAB/bench.json" | tee "$LAB/table"
[ -z "$readme" ] || into_readme "$LAB/table"
