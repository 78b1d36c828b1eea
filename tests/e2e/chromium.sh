#!/usr/bin/env bash
# Chromium loads a page with a hundred resources from home.peer, a peer behind a NAT of its own: through
# SOCKS5, through HTTP, and as the PAC file says. With SOCKS5 the page also talks through a WebSocket and
# fetches 100 MB. The names it asks for are resolved nowhere but at home.
#
#   home (web, ws) -- gw_home --- internet --- gw_laptop -- laptop (front, Chromium)
#                     eim_apdf                 eim_adf
. "$(dirname "${BASH_SOURCE[0]}")/../lab/lab.sh"
. "$lab_root/tests/lab/nat.sh"

command -v chromium >/dev/null || lab_skip "chromium is not installed"
readonly RESOURCES=100 BYTES=100000000

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
    cat >"$LAB/www/talk.html" <<'HTML'
<!doctype html><html><body><p id="echo"></p><p id="bytes"></p><img src="http://home.peer:9001/wait"><script>
const show = (id, text) => { document.getElementById(id).textContent = text; };
const socket = new WebSocket("ws://home.peer:9001/ws");
socket.onopen = () => socket.send("hello");
socket.onmessage = async (event) => {
    if (event.data === "done") return;
    show("echo", event.data);
    let n = 0;
    const reader = (await fetch("big")).body.getReader();
    for (let part; !(part = await reader.read()).done; ) n += part.value.length;
    show("bytes", n);
    socket.send("done");
};
</script></body></html>
HTML
}

# dump NAME PAGE FLAG...: sets `dom` to what becomes of the page in Chromium with these flags.
dump() {
    local name=$1 page=$2
    shift 2
    dom=$(lab_exec laptop timeout 100 chromium --headless --no-sandbox --disable-gpu --disable-quic \
        --disable-dev-shm-usage --no-first-run --disable-background-networking \
        --disable-component-update --disable-sync --user-data-dir="$LAB/chromium-$name" \
        "$@" --dump-dom "http://home.peer:8080/$page" 2>"$LAB/chromium-$name.log") ||
        lab_fail "$name: chromium ended with $?"
}

# browse NAME FLAG...: the page with these flags; its DOM must tell of all its resources.
browse() {
    local name=$1 dom
    shift
    dump "$name" page.html "$@"
    [[ "$dom" == *"<p id=\"sum\">$RESOURCES came</p>"* ]] || lab_fail "$name: the page is $dom"
    lab_say "$name: the page and its $RESOURCES resources arrive"
}

connected() {
    lab_status laptop | jq .counters.front.connected
}

nat_two eim_apdf eim_adf
make_page
lab_big_file "$BYTES"
/usr/bin/python3 -c '' || lab_skip "python3 is not installed"
lab_spawn ws home /usr/bin/python3 "$lab_root/tests/e2e/ws_server.py" 9001
lab_wait_until 10 lab_listens ws home 9001
cat >>"$LAB/laptop.ini" <<INI

[route]
corp.example = peer home
10.77.0.0/24 = peer home
10.77.0.2/32 = direct
2001:db8::/32 = peer home
INI
nat_two_start
lab_first_page
lab_wait_until 60 nat_is_direct
before=$(connected)
browse socks5 --proxy-server=socks5://127.0.0.1:1080
[ $(($(connected) - before)) -ge $((RESOURCES / 6)) ] || lab_fail "Chromium did not come through the front"
dump talk talk.html --proxy-server=socks5://127.0.0.1:1080
[[ "$dom" == *"<p id=\"echo\">hello</p><p id=\"bytes\">$BYTES</p>"* ]] || lab_fail "talk: the page is $dom"
lab_say "socks5: a WebSocket echoes, and $BYTES bytes are fetched"
browse http --proxy-server=http://127.0.0.1:1080
before=$(connected)
browse pac --proxy-pac-url=http://127.0.0.1:1080/proxy.pac
[ $(($(connected) - before)) -ge 2 ] || lab_fail "with the PAC file, Chromium did not come through the front"
nat_is_direct || lab_fail "the path is $(lab_path laptop home) and not direct"
