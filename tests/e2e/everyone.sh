#!/usr/bin/env bash
# The clients that people point at a proxy, each as its manual says, through a peer behind a NAT of its
# own: curl in all its ways, wget, git over https and ssh, ssh through nc, proxychains, Python.
#
#   home (web, https, h2, sshd) -- gw_home --- internet --- gw_laptop -- laptop (front, clients)
#                                  eim_apdf       |         eim_adf
#                                               relay
. "$(dirname "${BASH_SOURCE[0]}")/../lab/lab.sh"
. "$lab_root/tests/lab/nat.sh"
. "$lab_root/tests/e2e/sshd.bash"

PATH=$PATH:/usr/sbin
for program in wget git proxychains4 nghttpd nc openssl; do
    command -v "$program" >/dev/null || lab_skip "$program is not installed"
done
PYTHON=/usr/bin/python3 # Debian's, which has the modules
"$PYTHON" -c "import requests, socks" 2>/dev/null || lab_skip "python3-requests or python3-socks is not installed"
readonly FRONT=127.0.0.1:1080 PAGE=http://home.peer:8080/small BYTES=100000000
export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org \
    GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org

laptop() {
    lab_exec laptop timeout 60 "$@"
}

connected() {
    lab_status laptop | jq .counters.front.requests
}

# brings WHAT COMMAND...: it prints the page, and came through the front.
brings() {
    local what=$1 said before
    shift
    before=$(connected)
    said=$(laptop "$@" 2>"$LAB/said") || lab_fail "$what: ended with $?: $(cat "$LAB/said")"
    [ "$said" = "a page of home" ] || lab_fail "$what: got $said"
    [ "$(connected)" -gt "$before" ] || lab_fail "$what: did not come through the front"
    lab_say "$what: the page arrives"
}

curl_with() {
    brings "curl $*" curl -sS --fail --max-time 20 "$@"
}

https_server() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=home.peer \
        -addext subjectAltName=DNS:home.peer -keyout "$LAB/tls.key" -out "$LAB/tls.pem" 2>"$LAB/openssl.log"
    cat >"$LAB/https.py" <<'PYTHON'
import functools, http.server, ssl, sys
where, folder = sys.argv[1:3]
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
server = http.server.ThreadingHTTPServer(("0.0.0.0", 8443), handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(where + "/tls.pem", where + "/tls.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
PYTHON
    lab_spawn https home "$PYTHON" "$LAB/https.py" "$LAB" "$LAB/www"
    lab_spawn h2 home nghttpd -d "$LAB/www" 8444 "$LAB/tls.key" "$LAB/tls.pem"
    lab_wait_until 15 lab_listens https home 8443
    lab_wait_until 15 lab_listens h2 home 8444
}

make_repository() {
    git init -q -b main "$LAB/work"
    head -c 300000 /dev/urandom >"$LAB/work/file"
    git -C "$LAB/work" add .
    git -C "$LAB/work" commit -q -m one
    git clone -q --bare "$LAB/work" "$LAB/www/repo.git"
    git -C "$LAB/www/repo.git" update-server-info
}

# clones WHAT URL COMMAND...: git, with the rest of the command before it.
clones() {
    local what=$1 url=$2
    shift 2
    rm -rf "$LAB/clone"
    laptop "$@" git clone -q "$url" "$LAB/clone" 2>"$LAB/said" || lab_fail "git over $what: $?: $(cat "$LAB/said")"
    [ "$(git -C "$LAB/clone" rev-parse HEAD)" = "$(git -C "$LAB/work" rev-parse HEAD)" ] || lab_fail "git over $what: another HEAD"
    lab_say "git over $what: cloned"
}

nat_two eim_apdf eim_adf
make_repository
https_server
sshd_start
# A name that curl resolves by itself, and whose address only home has.
echo "10.9.9.9 site.test" >>"$LAB/hosts"
ip -n home address add 10.9.9.9/32 dev lo
printf 'ann:one two\n' >"$LAB/users"
chmod 600 "$LAB/users"
cat >>"$LAB/laptop.ini" <<INI

[front asking]
listen = 127.0.0.2:1081
users = $LAB/users

[route]
10.9.9.0/24 = peer home
INI
nat_two_start
lab_first_page
lab_wait_until 60 nat_is_direct

curl_with --socks5 "$FRONT" http://site.test:8080/small
curl_with --socks5-hostname "$FRONT" "$PAGE"
curl_with --socks4a "$FRONT" "$PAGE"
curl_with --socks4 "$FRONT" http://site.test:8080/small
curl_with --proxy "http://$FRONT" "$PAGE"
curl_with --proxy "http://$FRONT" --proxytunnel "$PAGE"
curl_with --socks5-hostname 127.0.0.2:1081 -U 'ann:one two' "$PAGE"
curl_with --proxy http://127.0.0.2:1081 -U 'ann:one two' "$PAGE"
curl_with --socks5-hostname "$FRONT" --cacert "$LAB/tls.pem" https://home.peer:8443/small
curl_with --proxy "http://$FRONT" --cacert "$LAB/tls.pem" https://home.peer:8443/small

for proxy in "socks5h://$FRONT" "http://$FRONT"; do
    said=$(laptop curl -sS --fail --http2 --proxy "$proxy" --cacert "$LAB/tls.pem" -o "$LAB/h2" -w '%{http_version}' \
        https://home.peer:8444/small) || lab_fail "HTTP/2 through $proxy: $?"
    [ "$said $(cat "$LAB/h2")" = "2 a page of home" ] || lab_fail "HTTP/2 through $proxy: $said $(cat "$LAB/h2")"
    lab_say "curl --http2 --proxy $proxy: HTTP/$said"
done

# A client that offers GSSAPI gets on without it; where nothing else would do, it is told so at once.
curl_with --socks5-gssapi --socks5-hostname "$FRONT" "$PAGE"
before=$SECONDS said=0
laptop curl -sS --max-time 20 --socks5-gssapi --socks5-hostname 127.0.0.2:1081 "$PAGE" 2>"$LAB/said" || said=$?
[ "$said" -eq 97 ] || lab_fail "curl --socks5-gssapi: exit code $said: $(cat "$LAB/said")"
[ $((SECONDS - before)) -lt 10 ] || lab_fail "curl --socks5-gssapi had to wait"
lab_say "curl --socks5-gssapi: $(cat "$LAB/said")"

lab_big_file "$BYTES"
lab_download
lab_upload 20000000

brings "wget, http" env http_proxy="http://$FRONT" wget -q -O - "$PAGE"
brings "wget, https" env https_proxy="http://$FRONT" wget -q -O - --ca-certificate="$LAB/tls.pem" https://home.peer:8443/small
printf 'strict_chain\nproxy_dns\n[ProxyList]\nsocks5 127.0.0.1 1080\n' >"$LAB/proxychains.conf"
brings proxychains4 proxychains4 -q -f "$LAB/proxychains.conf" curl -sS --fail --max-time 20 "$PAGE"
sed -i 's/^socks5 /socks4 /' "$LAB/proxychains.conf"
brings "proxychains4, socks4" proxychains4 -q -f "$LAB/proxychains.conf" curl -sS --fail --max-time 20 "$PAGE"
brings "Python requests" "$PYTHON" -c '
import requests, sys
proxy = "socks5h://" + sys.argv[1]
print(requests.get(sys.argv[2], proxies={"http": proxy}, timeout=20).text, end="")' "$FRONT" "$PAGE"
brings "PySocks" "$PYTHON" -c '
import socks
s = socks.socksocket()
s.set_proxy(socks.SOCKS5, "127.0.0.2", 1081, rdns=True, username="ann", password="one two")
s.settimeout(20)
s.connect(("home.peer", 8080))
s.sendall(b"GET /small HTTP/1.0\r\n\r\n")
print(s.makefile().read().split("\n\n", 1)[1], end="")'

connect="$ADIT connect -c $LAB/laptop.ini %h %p"
through_nc="nc -X 5 -x $FRONT %h %p"
for proxy in "$connect" "$through_nc"; do
    said=$(laptop ssh "${sshd_options[@]}" -o ProxyCommand="$proxy" me@home.peer echo hello) || lab_fail "ssh through $proxy: $?"
    [ "$said" = hello ] || lab_fail "ssh through $proxy: $said"
    lab_say "ssh through ${proxy##*/}: logged in"
done
clones https https://home.peer:8443/repo.git env GIT_SSL_CAINFO="$LAB/tls.pem" ALL_PROXY="socks5h://$FRONT"
printf '#!/bin/sh\nexec ssh %s -o ProxyCommand="%s" "$@"\n' "${sshd_options[*]}" "$through_nc" >"$LAB/git_ssh"
chmod +x "$LAB/git_ssh"
clones ssh "me@home.peer:$LAB/www/repo.git" env GIT_SSH_COMMAND="$LAB/git_ssh" \
    GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'

nat_is_direct || lab_fail "the path is $(lab_path laptop home) and not direct"
lab_say "all of it on a direct path between two NATs"
