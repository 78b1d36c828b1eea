#!/usr/bin/env bash
# What a byte costs from application to application, in instructions of ours and of the libraries',
# part by part, and whether that keeps to the budget: see README.md here.
#
#     tests/bench/budget.sh [MIB]
#
# Environment: BENCH_BUDGET (program), BUDGET (file). Needs valgrind. Times differ from run to run and
# from machine to machine; these counts repeat to the last digits, but for the AEAD's: which code
# OpenSSL or libsodium choose depends on the processor.
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
BENCH_BUDGET=${BENCH_BUDGET:-$here/../../build/tests/bench/bench_budget}
BUDGET=${BUDGET:-$here/budget.txt}
mib=${1:-32}

command -v valgrind >/dev/null || {
    echo "skip: valgrind is not installed" >&2
    exit 77
}
[ -x "$BENCH_BUDGET" ] || {
    echo "not built: $BENCH_BUDGET (cmake --build --preset release --target bench_budget)" >&2
    exit 1
}
out=$(mktemp -d "${TMPDIR:-/tmp}/budget.XXXXXX")
trap 'rm -rf "$out"' EXIT

said=$(valgrind --tool=callgrind --toggle-collect=budget_run --callgrind-out-file="$out/callgrind" \
    "$BENCH_BUDGET" "$mib" 2>"$out/log") || {
    cat "$out/log" >&2
    exit 1
}
# "name value" of each part, per KiB of the application's bytes; a part is one or more functions with
# all that they call, and what nobody claims is "rest". In callgrind's format a line of a function's
# block is a position and a cost: its own, or after "calls=" that of what it called.
measured() {
    awk -v said="$said" '
        BEGIN {
            n = split(said, w, " ")
            for (i = 1; i < n; i += 2) run[w[i]] = w[i + 1]
            parts = split("read read frame seal send receive receive open take write write", part, " ")
            split("node_stream_space node_stream_wrote conn_output aead_seal udp_send udp_receive" \
                  " udp_batch_next aead_open conn_input node_stream_peek node_stream_consume", of, " ")
        }
        /^c?fn=/ {
            id = $1; sub(/^c?fn=/, "", id)
            if (NF > 1) name[id] = $2
            if ($1 ~ /^fn/) cost_of = name[id]
        }
        /^[0-9+*-]/ { cost[cost_of] += $2 }
        END {
            kib = run["bytes"] / 1024
            rest = cost["budget_run"]
            for (i = 1; i <= parts; i++) { sum[part[i]] += cost[of[i]]; rest -= cost[of[i]] }
            for (p in sum) print p, sum[p] / kib
            print "rest", rest / kib
            print "all", cost["budget_run"] / kib
            print "packets_per_send", run["packets"] / run["sends"]
            print "packets_per_read", run["packets"] / run["reads"]
            print "packets_per_ack", run["packets"] / run["acks"]
        }' "$out/callgrind"
}

measured >"$out/measured"
echo "$said"
awk '
    NR == FNR { have[$1] = $2; next }
    /^#/ || NF == 0 { next }
    !head++ { printf "%-18s %10s %4s %10s\n", "part", "measured", "", "budget" }
    {
        bad = !($1 in have) || ($2 == "<=" ? have[$1] > $3 : have[$1] < $3)
        printf "%-18s %10.1f %4s %10.1f%s\n", $1, have[$1], $2, $3, bad ? "   over the budget" : ""
        failed += bad
    }
    END { exit !head || failed > 0 }' "$out/measured" "$BUDGET"
