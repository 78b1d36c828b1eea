#!/usr/bin/env bash
# Chromium loads a page with forty resources from home.peer: through SOCKS5, through HTTP, and as
# the PAC file says. The names it asks for are resolved nowhere but at home.
#
#   home 10.77.0.2 ---+--- laptop 10.77.0.3 (front, Chromium)
#   web               +--- relay 10.77.0.4
. "$(dirname "${BASH_SOURCE[0]}")/../lab/lab.sh"

command -v chromium >/dev/null || lab_skip "chromium is not installed"
readonly RESOURCES=40

# Each script adds one; the page says at its end how many there were.
make_page() {
    local i
    {
        echo '<!doctype html><html><head><title>page</title><script>var n = 0;</script></head><body>'
        for ((i = 1; i <= RESOURCES; i++)); do
            echo "n += 1; // $(head -c 6000 /dev/urandom | od -An -v -tx1 | tr -d ' \n')" >"$LAB/www/r$i.js"
            echo "<script src=\"r$i.js\"></script>"
        done
        echo '<p id="sum"></p><script>document.getElementById("sum").textContent = n + " came";</script>'
        echo '</body></html>'
    } >"$LAB/www/page.html"
}

# browse NAME FLAG...: the page through Chromium with these flags; its DOM must tell of all.
browse() {
    local name=$1 dom
    shift
    dom=$(lab_exec laptop timeout 100 chromium --headless --no-sandbox --disable-gpu --disable-quic \
        --disable-dev-shm-usage --no-first-run --disable-background-networking \
        --disable-component-update --disable-sync --user-data-dir="$LAB/chromium-$name" \
        "$@" --dump-dom http://home.peer:8080/page.html 2>"$LAB/chromium-$name.log") ||
        lab_fail "$name: chromium ended with $?"
    [[ "$dom" == *"<p id=\"sum\">$RESOURCES came</p>"* ]] || lab_fail "$name: the page is $dom"
    lab_say "$name: the page and its $RESOURCES resources arrive"
}

connected() {
    lab_status laptop | jq .counters.front.connected
}

lab_three
make_page
cat >>"$LAB/laptop.ini" <<INI

[route]
corp.example = peer home
10.77.0.0/24 = peer home
10.77.0.2/32 = direct
2001:db8::/32 = peer home
INI
lab_three_start
lab_first_page
lab_await_path laptop home direct
before=$(connected)
browse socks5 --proxy-server=socks5://127.0.0.1:1080
[ $(($(connected) - before)) -ge $((RESOURCES / 6)) ] || lab_fail "Chromium did not come through the front"
browse http --proxy-server=http://127.0.0.1:1080
before=$(connected)
browse pac --proxy-pac-url=http://127.0.0.1:1080/proxy.pac
[ $(($(connected) - before)) -ge 2 ] || lab_fail "with the PAC file, Chromium did not come through the front"
assert_path laptop home direct
