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

# --- one cell: inside namespaces of its own, started with SQUARE_CELL=FILE for the result --------

cell_start() {
    nat_two "$1" "$2"
    head -c $((2 << 20)) /dev/urandom >"$LAB/www/big"
    nat_two_start
}

# cell_wait SECONDS INTERVAL: until both ends are direct, or the time is over.
cell_wait() {
    local deadline=$((SECONDS + $1))
    until nat_is_direct; do
        [ "$SECONDS" -lt "$deadline" ] || return 0
        sleep "$2"
    done
}

# A run of birthday probing may fail, and the next one comes after 20 s.
cell_patience() {
    case $1 in
    *edm_portmap*) echo 15 ;;
    *edm* | *dual_hard4*) echo 50 ;;
    *) echo 10 ;;
    esac
}

cell_path() {
    local there back
    there=$(lab_path laptop home)
    back=$(lab_path home laptop)
    if [ "$there" = "$back" ]; then
        echo "$there"
    else
        echo "$there/$back"
    fi
}

# The laptop's first log line with such an event, as ms since 1970.
cell_event_ms() {
    local at
    at=$(sed -n "s/^\([^ ]*\) [a-z]* $1\( .*\)*\$/\1/p" "$LAB/laptop.log" | head -n 1)
    [ -z "$at" ] || date -d "$at" +%s%3N
}

# From the moment at which the laptop, which wanted a session, could start one until it went direct.
cell_direct_ms() {
    local from to
    from=$(cell_event_ms "relay up relay=main")
    to=$(cell_event_ms "path direct peer=home")
    [ -z "$from" ] || [ -z "$to" ] || echo $((to - from))
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
    local expected=$3 first path
    [[ "$1 $2" != *edm_portmap* ]] || nat_has_portmapper ||
        lab_skip "no miniupnpd here ($NAT_MINIUPNPD), so the cells of edm_portmap were not tried"
    cell_start "$1" "$2"
    first=$(lab_curl --max-time 20 -o "$LAB/page" -w '%{time_starttransfer}' http://home.peer:8080/small) ||
        lab_fail "no answer through the front"
    [ "$(cat "$LAB/page")" = "a page of home" ] || lab_fail "not the page of home"
    if [ "$expected" = direct ]; then
        cell_wait "$(cell_patience "$1 $2")" 0.2
    else
        cell_wait 3 1
    fi
    path=$(cell_path)
    cell_download "$path"
    [ "$(cell_path)" = "$path" ] || path=$path-$(cell_path)
    printf '%s %s %s %s %s\n' "$1" "$2" "$path" \
        "$(awk -v s="$first" 'BEGIN { printf "%.0f", s * 1000 }')" "$(cell_direct_ms)" >"$SQUARE_CELL"
    [ "$path" = "$expected" ] || lab_fail "$1 x $2 is $path and not $expected"
}

if [ -n "${SQUARE_CELL:-}" ]; then
    . "$here/lab.sh"
    NAT_DELAY=${NAT_DELAY:-10}
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

# What a cell measured: "PATH FIRST DIRECT", times in ms.
square_measured() {
    local result=$square_out/$1.$2.result
    if [ -s "$result" ]; then
        cut -d' ' -f3- "$result"
    else
        echo "broken - -"
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
        awk -v f="$1" -v kinds="$2" '$1 ~ kinds && $2 ~ kinds && $3 == "direct" && $f != "" { print $f }' |
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
jobs=${SQUARE_JOBS:-$((4 * $(nproc)))}

square_cells "$square_row" "$square_column" >"$square_out/cells"
[ -s "$square_out/cells" ] || {
    echo "no such cell: $*" >&2
    exit 64
}
xargs -P "$jobs" -L 1 bash -c 'square_one "$@"' square <"$square_out/cells"

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

printf '\nmedians of the direct cells: first byte %s ms, direct %s ms; EIM with EIM direct %s ms\n' \
    "$(square_median 4 .)" "$(square_median 5 .)" "$(square_median 5 eim)"
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
