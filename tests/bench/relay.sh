#!/usr/bin/env bash
# A relay on loopback: memory of idle clients, packets forwarded for a second of processor time, and
# what one greedy client does to the others, on any core and on cores of their own. A derper is measured
# in the same rounds where there is one or Go can build it.
#
#     tests/bench/relay.sh [--quick]
#
# Environment: ADIT, BENCH_RELAY (programs), ROUNDS (5), CLIENTS (10000), SIZES.
#
# Namespace with nothing but loopback:   bench_relay ==> adit relay :3340, derper :3341
#                                                        adit relay :3342 (elsewhere)
#
# Alone the polite ones and the relay share a core, and nothing wakes up on another. Beside a greedy
# pair they cannot, and that alone doubles a round trip. So it is taken once more with the relays on one
# core and all the others on a second one, the greedy ones at nice 10: what is left is the relay's
# doing, and "elsewhere", with the greedy pair at another relay on the same core, is the processor's.
. "$(dirname "${BASH_SOURCE[0]}")/../lab/lab.sh"

BENCH_RELAY=${BENCH_RELAY:-$lab_root/build/tests/bench/bench_relay}
version=${DERPER_VERSION:-v1.98.0}
rounds=${ROUNDS:-5} ms=1500 clients=${CLIENTS:-10000} sizes=${SIZES:-100 1200 8192}
[ "${1:-}" != --quick ] || rounds=1 ms=300
[ -x "$BENCH_RELAY" ] || lab_fail "not built: $BENCH_RELAY (cmake --build --preset release --target bench_relay)"

# A home of its own hides the real one from the lab: where a derper may stand is asked of the system.
derper=${DERPER:-$(getent passwd "$(id -u)" | cut -d: -f6)/.cache/adit-tests/derper-$version/derper}

declare -A port=([adit]=3340 [derper]=3341)

# start_adit NAME PORT
start_adit() {
    lab_make_key "$1"
    cat >"$LAB/$1.ini" <<INI
[node]
log = warn
[server]
listen = 127.0.0.1:$2
key = $LAB/$1.key
open = yes
clients_max = $((clients + 1000))
clients_per_address_max = $((clients + 1000))
INI
    lab_spawn "$1" hub "$ADIT" relay -c "$LAB/$1.ini"
}

start_derper() {
    lab_spawn derper hub "$derper" -a 127.0.0.1:3341 -c "$LAB/derper.key" -certdir "$LAB" -stun=false
}

# value NAME LINE
value() {
    sed -n "s/.*\b$1=\([0-9]*\).*/\1/p" <<<"$2"
}

median() {
    sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

# measure NAME MODE ARGUMENT...: one line of the tool's, also in $LAB/NAME.MODE.
measure() {
    local name=$1 mode=$2
    shift 2
    lab_exec hub "$BENCH_RELAY" "$mode" "${port[$name]}" "${lab_pid[$name]}" "$@"
}

# apart NAME MODE ARGUMENT...: measure, the relays on core 0 and the others on core 1.
apart() {
    taskset -cp 0 "${lab_pid[$1]}" >/dev/null
    taskset -cp 0 "${lab_pid[elsewhere]}" >/dev/null
    taskset -c 1 nsenter --net=/run/netns/hub -- "$BENCH_RELAY" "$2" "${port[$1]}" "${lab_pid[$1]}" "${@:3}"
    taskset -cp "$cores" "${lab_pid[$1]}" >/dev/null
}

lab_network
lab_exec hub ip link set lo up
cores=$(taskset -cp $$ | sed 's/.*: //')
names=(adit)
start_adit adit 3340
start_adit elsewhere 3342
lab_wait_until 10 lab_listens adit hub 3340
lab_wait_until 10 lab_listens elsewhere hub 3342
if [ -x "$derper" ]; then
    start_derper
    lab_wait_until 20 lab_listens derper hub 3341
    names+=(derper)
else
    lab_say "no derper ($derper): tests/e2e/derper builds one where there is Go"
fi

for ((round = 1; round <= rounds; round++)); do
    for size in $sizes; do
        for name in "${names[@]}"; do
            line=$(measure "$name" forward "$ms" "$size" 8)
            [ "$(value lost "$line")" -eq 0 ] || lab_say "$name lost packets: $line"
            value per_cpu_s "$line" >>"$LAB/$name.$size.cpu"
            value per_s "$line" >>"$LAB/$name.$size.wall"
        done
    done
    for name in "${names[@]}"; do
        for mode in round greedy; do
            value median_us "$(measure "$name" "$mode" "$ms")" >>"$LAB/$name.$mode"
            value median_us "$(apart "$name" "$mode" "$ms")" >>"$LAB/$name.$mode.apart"
        done
        value median_us "$(apart "$name" greedy "$ms" 3342)" >>"$LAB/$name.elsewhere.apart"
    done
done

printf '\nforwarded, median of %d rounds (8 pairs, 32 packets of each on the way)\n' "$rounds"
printf '%-8s %6s %12s %14s %12s\n' relay bytes packets/s "per CPU s" "MB per CPU s"
for size in $sizes; do
    for name in "${names[@]}"; do
        cpu=$(median <"$LAB/$name.$size.cpu")
        printf '%-8s %6d %12d %14d %12d\n' "$name" "$size" "$(median <"$LAB/$name.$size.wall")" \
            "$cpu" $((cpu * size / 1000000))
        declare "${name}_cpu=$cpu"
    done
    # shellcheck disable=SC2154 # declared above, one for each name
    [ ${#names[@]} -lt 2 ] || awk -v a="$adit_cpu" -v b="$derper_cpu" -v size="$size" \
        'BEGIN { printf "%-8s %6d %40.1f x derper for a second of processor time\n", "adit", size, a / b }'
done

printf '\nround trip of two polite clients, us; beside a greedy pair\n'
printf '%-8s %-14s %8s %8s %10s\n' relay cores alone beside elsewhere
for name in "${names[@]}"; do
    printf '%-8s %-14s %8d %8d\n' "$name" "any" "$(median <"$LAB/$name.round")" "$(median <"$LAB/$name.greedy")"
    printf '%-8s %-14s %8d %8d %10d\n' "$name" "one each" "$(median <"$LAB/$name.round.apart")" \
        "$(median <"$LAB/$name.greedy.apart")" "$(median <"$LAB/$name.elsewhere.apart")"
done

printf '\nidle clients\n'
for name in "${names[@]}"; do
    printf '%-8s %s\n' "$name" "$(measure "$name" idle "$clients")"
done
