#!/usr/bin/env bash
# Direct wherever physics allows, the relay everywhere else: every kind of NAT with every other.
#
#   home --- gw_home (row) --- br0 --- gw_laptop (column) --- laptop
#   web, exit                   |                             front, curl
#                             relay: adit relay, STUN with two addresses
#
#   tests/lab/square.sh                all cells, several at a time, compared with square.expected
#   tests/lab/square.sh ROW            one row
#   tests/lab/square.sh ROW COLUMN     one cell, with what the nodes said
#
# Environment: SQUARE_JOBS (cells at a time). Cells that differ show the essence of their logs.
#
# Alone: it runs several cells at a time itself.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export NAT_DELAY=${NAT_DELAY:-10}

# --- one cell: inside namespaces of its own, started with SQUARE_CELL=FILE for the result --------

# The laptop's one request, by bash alone: it is there before the front listens, and a program that has
# to be loaded first would come too late. The words of SOCKS and of HTTP go in one piece. Prints when it
# connected and when the page's first line came, in seconds since 1970, then that line and the page.
cell_ask() {
    local line page=""
    until { exec 3<>/dev/tcp/127.0.0.1/1080; } 2>/dev/null; do
        sleep 0.01
    done
    local asked=$EPOCHREALTIME
    printf '\5\1\0\5\1\0\3\11home.peer\37\220GET /small HTTP/1.0\r\n\r\n' >&3
    IFS= read -r -t 20 line <&3 || exit 1
    printf '%s %s ' "$asked" "$EPOCHREALTIME"
    while IFS= read -r -t 20 page <&3; do
        line+=" $page"
    done
    printf '%s\n' "${line//[^ -~]/}"
}

# Home is there and waits. The laptop's first act is to be asked: relay, session and path come after that.
cell_start() {
    nat_two "$1" "$2"
    head -c $((2 << 20)) /dev/urandom >"$LAB/www/big"
    : >"$LAB/home.log" >"$LAB/laptop.log"
    lab_spawn home home "$ADIT" run -c "$LAB/home.ini"
    cell_await_said home " relay up "
    lab_spawn ask laptop timeout 40 bash -c "$(declare -f cell_ask); cell_ask"
    lab_spawn laptop laptop "$ADIT" run -c "$LAB/laptop.ini"
    lab_join ask || lab_fail "no answer through the front: $(cat "$LAB/ask.log")"
    [[ "$(<"$LAB/ask.log")" == *"HTTP/1."*" 200 "*" a page of home" ]] || lab_fail "not the page of home"
}

cell_said() {
    [[ "$(<"$LAB/$1.log")" == *"$2"* ]]
}

# As lab_wait_until, but asks no program: many cells wait at once.
cell_await_said() {
    local deadline=$((SECONDS + 15))
    until cell_said "$1" "$2"; do
        lab_is_alive "$1" && [ "$SECONDS" -lt "$deadline" ] || lab_fail "$1 does not say '$2'"
        sleep 0.05
    done
}

# cell_wait SECONDS: until both ends have been direct, or the time is over.
cell_wait() {
    local deadline=$((SECONDS + $1))
    until cell_said laptop " path direct peer=" && cell_said home " path direct peer="; do
        [ "$SECONDS" -lt "$deadline" ] || return 0
        sleep 0.1
    done
}

# How long a cell may take to go direct. A run of birthday probing may fail, and the next one comes
# after 20 s.
cell_patience() {
    case $1 in
    *edm_portmap*) echo 15 ;;
    *edm* | *dual_hard4*) echo 50 ;;
    *) echo 10 ;;
    esac
}

# Where there is no direct way this long is looked for one: ten times what it takes to find one where
# nothing has to be guessed. The logs tell of one that came and went.
cell_stays_relayed() {
    sleep 2
    ! cell_said laptop " path direct " && ! cell_said home " path direct " ||
        lab_fail "it was direct for a while, where there is no direct way"
}

cell_path() {
    { lab_status laptop && lab_status home; } |
        jq -rs '[.[].peers[0].path.kind] | if .[0] == .[1] then .[0] else join("/") end'
}

# "FIRST DIRECT SINCE-RELAY", ms: from the request to the page's first byte and to the direct path, and to
# that from when the laptop had its relay, before which no session can begin; "-" if it is not direct.
cell_times() {
    awk '
        function ms(clock, p) { split(clock, p, ":"); return ((p[1] * 60 + p[2]) * 60 + p[3]) * 1000 }
        function since(a, b) { return b - a < -43200000 ? b - a + 86400000 : b - a } # midnight
        NR == 1 { asked = $1 % 86400 * 1000; first = ($2 - $1) * 1000; next }
        / relay up / && !up { up = ms(substr($1, 12, 12)) }
        / path direct peer=home/ && !direct { direct = ms(substr($1, 12, 12)) }
        END {
            if (direct) printf "%.0f %.0f %.0f\n", first, since(asked, direct), since(up, direct)
            else printf "%.0f - -\n", first
        }' "$LAB/ask.log" "$LAB/laptop.log"
}

# The file arrives whole; if the path is direct, the relay carried none of it.
cell_download() {
    local path=$1 before after
    before=$(lab_cable_bytes relay)
    lab_curl --max-time 30 http://home.peer:8080/big | cmp -s - "$LAB/www/big" ||
        lab_fail "the file did not arrive as it was"
    after=$(lab_cable_bytes relay)
    if [ "$path" = direct ] && [ $((after - before)) -gt $((512 << 10)) ]; then
        lab_fail "the path is said to be direct, but the relay carried $((after - before)) bytes"
    elif [ "$path" = relay ] && [ $((after - before)) -lt $((4 << 20)) ]; then
        lab_fail "the path is said to be the relay, but that carried only $((after - before)) bytes"
    fi
}

cell() {
    local expected=$3 path
    [[ "$1 $2" != *edm_portmap* ]] || nat_has_portmapper ||
        lab_skip "no miniupnpd here ($NAT_MINIUPNPD), so the cells of edm_portmap were not tried"
    cell_start "$1" "$2"
    if [ "$expected" = direct ]; then
        cell_wait "$(cell_patience "$1 $2")"
    else
        cell_stays_relayed
    fi
    path=$(cell_path)
    cell_download "$path"
    [ "$(cell_path)" = "$path" ] || path=$path-$(cell_path)
    echo "$1 $2 $path $(cell_times)" >"$SQUARE_CELL"
    [ "$path" = "$expected" ] || lab_fail "$1 x $2 is $path and not $expected"
}

if [ -n "${SQUARE_CELL:-}" ]; then
    . "$here/lab.sh"
    . "$here/nat.sh"
    cell "$@"
    exit
fi

# --- all of them ---------------------------------------------------------------------------------

# Lines "ROW COLUMN EXPECTED" of the wanted cells.
square_cells() {
    awk -v row="${1:-}" -v column="${2:-}" '
        /^#/ { next }
        !head { head = 1; for (i = 2; i <= NF; i++) name[i] = $i; next }
        row == "" || $1 == row {
            for (i = 2; i <= NF; i++)
                if (column == "" || name[i] == column) print $1, name[i], $i
        }' "$here/square.expected"
}

square_one() {
    local status=0
    SQUARE_CELL=$square_out/$1.$2.result timeout -k 5 90 bash "$square_self" "$1" "$2" "$3" \
        >"$square_out/$1.$2.log" 2>&1 || status=$?
    echo "$status" >"$square_out/$1.$2.status"
}

# What a cell measured: "PATH FIRST DIRECT SINCE-RELAY", times in ms.
square_measured() {
    local result=$square_out/$1.$2.result
    if [ -s "$result" ]; then
        cut -d' ' -f3- "$result"
    else
        echo "broken - - -"
    fi
}

# square_table TITLE FIELD: one field of every cell's result.
square_table() {
    local row column columns
    columns=$(square_cells "" "$square_column" | awk '!seen[$2]++ { print $2 }')
    printf '\n%-16s' "$1"
    for column in $columns; do
        printf '%-15s ' "$column"
    done
    for row in $(square_cells "$square_row" "$square_column" | awk '!seen[$1]++ { print $1 }'); do
        printf '\n%-16s' "$row"
        for column in $columns; do
            # shellcheck disable=SC2046 # three words
            set -- "$2" "$2" $(square_measured "$row" "$column")
            printf '%-15s ' "$(eval "echo \${$(($1 + 2)):--}")"
        done
    done
    echo
}

# square_median FIELD PATTERN: the median of a field over the direct cells of such kinds.
square_median() {
    cat "$square_out"/*.result 2>/dev/null |
        awk -v f="$1" -v kinds="$2" '$1 ~ kinds && $2 ~ kinds && $3 == "direct" && $f ~ /^-?[0-9]+$/ { print $f }' |
        sort -n | awk '{ v[NR] = $1 } END { print NR ? v[int((NR + 1) / 2)] : "-" }'
}

# The logs of a cell that differs, without what every start says.
square_show() {
    printf '\n=== %s x %s: %s, expected %s\n' "$1" "$2" "$(square_measured "$1" "$2")" "$3"
    if [ -n "$square_column" ]; then
        cat "$square_out/$1.$2.log"
    else
        grep -E '^---|^===| (path|punch|stun|candidate|peer) |"kind"|"address"|failed|error' \
            "$square_out/$1.$2.log" | tail -n 40 || true
    fi
}

square_row=${1:-} square_column=${2:-}
square_self=${BASH_SOURCE[0]}
square_out=$(mktemp -d "${TMPDIR:-/tmp}/square.XXXXXX")
trap 'rm -rf "$square_out"' EXIT
export square_out square_self
export -f square_one
jobs=${SQUARE_JOBS:-$((6 * $(nproc)))}

square_cells "$square_row" "$square_column" >"$square_out/cells"
[ -s "$square_out/cells" ] || {
    echo "no such cell: $*" >&2
    exit 64
}
# Those that guess ports take longest, so they come first; the rest fills the gaps.
{
    grep -E '(edm|dual_hard4).*direct$' "$square_out/cells" || true
    grep -vE '(edm|dual_hard4).*direct$' "$square_out/cells" || true
} | xargs -P "$jobs" -L 1 bash -c 'square_one "$@"' square

# Guessing ports is a matter of chance: a run of birthday probing misses now and then, and the next
# one comes tens of seconds later. Where a way has to be guessed, a few cells may try once more.
guessed=0
while read -r row column expected; do
    [ "$(cat "$square_out/$row.$column.status")" -ne 0 ] && [ "$expected" = direct ] &&
        [ "$(cat "$square_out/$row.$column.status")" -ne 77 ] &&
        [[ "$row $column" =~ edm|dual_hard4 ]] || continue
    guessed=$((guessed + 1))
    echo "$row $column $expected" >>"$square_out/again"
done <"$square_out/cells"
if [ "$guessed" -gt 0 ] && [ "$guessed" -le 8 ]; then
    sed 's/^/missed, once more: /' "$square_out/again"
    xargs -P "$jobs" -L 1 bash -c 'square_one "$@"' square <"$square_out/again"
fi

square_table "path" 1
square_table "first byte, ms" 2
square_table "direct, ms" 3
square_table "since relay, ms" 4

cat <<TEXT

first byte, direct: from the first SOCKS request, which is there before the laptop has its relay.
since relay: to direct, from when it had; what is between the two is the way to the relay.
TEXT
printf 'medians of the direct cells: first byte %s ms, direct %s ms, since relay %s ms\n' \
    "$(square_median 4 .)" "$(square_median 5 .)" "$(square_median 6 .)"
printf 'medians of EIM with EIM: first byte %s ms, direct %s ms, since relay %s ms; three round trips are %d ms\n' \
    "$(square_median 4 eim)" "$(square_median 5 eim)" "$(square_median 6 eim)" $((3 * 4 * NAT_DELAY))
echo "the delay is lab_cable's, $NAT_DELAY ms from a site to the bridge, as netem is not everywhere;" \
    "the simulator asserts three round trips of 40 ms, where no other process is in the way"
[ -z "$square_column" ] || cat "$square_out"/*.log
bad=0 absent=0
while read -r row column expected; do
    status=$(cat "$square_out/$row.$column.status")
    [ "$status" -ne 77 ] || absent=$((absent + 1))
    [ "$status" -ne 0 ] && [ "$status" -ne 77 ] || continue
    bad=$((bad + 1))
    square_show "$row" "$column" "$expected"
done <"$square_out/cells"
printf '%d cells in %d s, %d differ\n' "$(wc -l <"$square_out/cells")" "$SECONDS" "$bad"
[ "$bad" -eq 0 ] || exit 1
if [ "$absent" -gt 0 ]; then # what was not tried is no pass, even if all the others are right
    grep -h '^skip' "$square_out"/*.log | head -n 1 >&2
    exit 77
fi
