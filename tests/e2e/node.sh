#!/usr/bin/env bash
# Node.js with socks-proxy-agent, which most of its programs use, through a peer behind a NAT of its own.
# The package comes from npm's registry before the network is cut off, or there is nothing to be tested.
#
#   home (web) -- gw_home --- internet --- gw_laptop -- laptop (front, node)
#                 eim_apdf                 eim_adf
if [ -z "${LAB_INSIDE:-}" ]; then
    command -v node >/dev/null || { echo "skip: node is not installed" >&2; exit 77; }
    command -v npm >/dev/null || { echo "skip: npm is not installed" >&2; exit 77; }
    NODE_FOLDER=$(mktemp -d "${TMPDIR:-/tmp}/node.XXXXXX")
    export NODE_FOLDER
    timeout 60 npm install --no-audit --no-fund --silent --prefix "$NODE_FOLDER" socks-proxy-agent@8 >"$NODE_FOLDER/log" 2>&1 || {
        echo "skip: npm cannot get socks-proxy-agent: $(tail -n 1 "$NODE_FOLDER/log")" >&2
        rm -rf "$NODE_FOLDER"
        exit 77
    }
fi
. "$(dirname "${BASH_SOURCE[0]}")/../lab/lab.sh"
. "$lab_root/tests/lab/nat.sh"
mv "$NODE_FOLDER" "$LAB/node"

cat >"$LAB/node/get.js" <<'JS'
const http = require("http");
const { SocksProxyAgent } = require("socks-proxy-agent");
const agent = new SocksProxyAgent(process.argv[2]);
let left = 20;
for (let i = 0; i < 20; i++) {
    http.get(process.argv[3], { agent }, (answer) => {
        let text = "";
        answer.on("data", (data) => (text += data));
        answer.on("end", () => {
            if (text !== "a page of home\n") throw new Error("got " + text);
            if (--left === 0) console.log("20 pages");
        });
    });
}
JS

nat_two eim_apdf eim_adf
nat_two_start
lab_first_page
lab_wait_until 60 nat_is_direct
for proxy in socks5h://127.0.0.1:1080 socks4a://127.0.0.1:1080 socks5h://me:any@127.0.0.1:1080; do
    said=$(lab_exec laptop timeout 60 node "$LAB/node/get.js" "$proxy" http://home.peer:8080/small 2>&1) ||
        lab_fail "$proxy: node ended with $?: $said"
    [ "$said" = "20 pages" ] || lab_fail "$proxy: $said"
    lab_say "$proxy: $said"
done
nat_is_direct || lab_fail "the path is $(lab_path laptop home) and not direct"
