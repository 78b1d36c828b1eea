#!/usr/bin/env bash
# Back-pressure: a slow reader holds the sender. Neither Adit collects what nobody reads, the web
# server is not drained, and others are served meanwhile.
#
#   home 10.77.0.2 ---+--- laptop 10.77.0.3        curl reads 100 kB/s of 1 GiB,
#   web, exit         |    front, curl             another one nothing at all
#                     +--- relay 10.77.0.4
. "$(dirname "${BASH_SOURCE[0]}")/../lab/lab.sh"

readonly ALLOWED_KIB=$((64 << 10)) ALLOWED_SENT=$((96 << 20)) OBSERVED_S=15

web_sent() {
    lab_exec home curl -sS http://127.0.0.1:8080/-/sent
}

assert_rss() {
    local name=$1 before=$2 now
    now=$(lab_rss_kib "$name")
    [ $((now - before)) -lt "$ALLOWED_KIB" ] || lab_fail "$name grew from $before to $now KiB"
}

lab_three
lab_big_file $((1 << 30))
lab_three_start
lab_first_page
lab_await_path laptop home direct
home_kib=$(lab_rss_kib home)
laptop_kib=$(lab_rss_kib laptop)

lab_spawn slow laptop curl -sS --limit-rate 100k --socks5-hostname 127.0.0.1:1080 \
    -o "$LAB/slow" http://home.peer:8080/big
mkfifo "$LAB/unread"
exec 4<>"$LAB/unread"
lab_spawn stuck laptop curl -sS --socks5-hostname 127.0.0.1:1080 \
    -o "$LAB/unread" http://home.peer:8080/big
lab_wait_until 20 test -s "$LAB/slow"

end=$((SECONDS + OBSERVED_S))
pages=0
while [ "$SECONDS" -lt "$end" ]; do
    lab_page_arrives || lab_fail "others starve behind a slow reader"
    pages=$((pages + 1))
    assert_rss home "$home_kib"
    assert_rss laptop "$laptop_kib"
    sleep 0.2
done
lab_is_alive slow || lab_fail "the slow transfer ended: $(cat "$LAB/slow.log")"
lab_is_alive stuck || lab_fail "the stuck transfer ended: $(cat "$LAB/stuck.log")"
sent=$(web_sent)
[ "$sent" -lt "$ALLOWED_SENT" ] || lab_fail "the web server could send $sent bytes"
lab_say "home $home_kib -> $(lab_rss_kib home) KiB, laptop $laptop_kib -> $(lab_rss_kib laptop) KiB"
lab_say "web server sent $sent bytes, curl has $(stat -c %s "$LAB/slow"); $pages pages meanwhile"

# Both readers go away: what was held for them is let go, and bulk flows as before.
lab_kill slow
lab_kill stuck
lab_download
