# A genuine sshd at home, 127.0.0.1:2222, and keys for it (bash, sourced after lab.sh by who logs in).
#
#   sshd_start             starts it; skips the script where there is none
#   sshd_options           ssh's options to log in with, in an array of that name

command -v sshd >/dev/null || PATH=$PATH:/usr/sbin
for lab_program in sshd ssh ssh-keygen; do
    command -v "$lab_program" >/dev/null || lab_skip "$lab_program is not installed"
done

sshd_options=(-F none -i "$LAB/user_key" -p 2222 -o BatchMode=yes -o LogLevel=ERROR
    -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null)

# sshd as root wants further user ids, which these namespaces do not have; as somebody else it
# serves just him. So it gets a user of its own.
sshd_start() {
    ssh-keygen -q -t ed25519 -N '' -f "$LAB/host_key"
    ssh-keygen -q -t ed25519 -N '' -f "$LAB/user_key"
    { grep -v ':1000:' /etc/passwd && echo "me:x:1000:1000::$LAB/user:/bin/bash"; } >"$LAB/passwd"
    mount --bind "$LAB/passwd" /etc/passwd
    cat >"$LAB/sshd_config" <<CONFIG
ListenAddress 127.0.0.1:2222
HostKey $LAB/host_key
AuthorizedKeysFile $LAB/user_key.pub
PidFile none
StrictModes no
UsePAM no
CONFIG
    lab_spawn sshd home unshare -U --map-user=1000 --map-group=1000 \
        "$(command -v sshd)" -D -e -f "$LAB/sshd_config"
    lab_wait_until 15 lab_listens sshd home 2222
}
