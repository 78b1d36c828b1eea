#!/usr/bin/env bash
# git clones a repository that only home can reach, through ALL_PROXY as `adit env` prints it.
#
#   home 10.77.0.2 ---+--- laptop 10.77.0.3 (front, git)
#   web: repo.git     +--- relay 10.77.0.4
. "$(dirname "${BASH_SOURCE[0]}")/../lab/lab.sh"

command -v git >/dev/null || lab_skip "git is not installed"
export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org \
    GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org

make_repository() {
    local i
    git init -q -b main "$LAB/work"
    for i in $(seq 30); do
        head -c 20000 /dev/urandom >"$LAB/work/file$i"
        git -C "$LAB/work" add .
        git -C "$LAB/work" commit -q -m "commit $i"
    done
    git clone -q --bare "$LAB/work" "$LAB/www/repo.git"
    git -C "$LAB/www/repo.git" update-server-info
}

clone() {
    lab_exec laptop bash -c '. "$1"; git clone -q "$2" "$3"' clone "$1" \
        http://home.peer:8080/repo.git "$2"
}

lab_three
make_repository
lab_three_start
lab_first_page
lab_await_path laptop home direct
before=$(lab_status laptop | jq .counters.front.connected)
"$ADIT" env -c "$LAB/laptop.ini" >"$LAB/env"
clone "$LAB/env" "$LAB/clone" || lab_fail "git clone through SOCKS ended with $?"
echo "export http_proxy=http://127.0.0.1:1080" >"$LAB/env"
clone "$LAB/env" "$LAB/clone2" || lab_fail "git clone through HTTP ended with $?"
for clone in clone clone2; do
    [ "$(git -C "$LAB/$clone" rev-parse HEAD)" = "$(git -C "$LAB/work" rev-parse HEAD)" ] || lab_fail "another HEAD"
    git -C "$LAB/$clone" fsck --full >/dev/null || lab_fail "what was cloned is damaged"
done
after=$(lab_status laptop | jq .counters.front.connected)
[ "$after" -gt "$before" ] || lab_fail "git did not come through the front"
assert_path laptop home direct
lab_say "cloned over SOCKS and over HTTP, $((after - before)) requests"
