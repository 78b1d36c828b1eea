# Debian packages, named once; read by conf/quickstart and tests/run (bash).
#
# The names are the same in Debian 12 and 13. The one that carries a version is clang's run-time
# library (sanitizers, libFuzzer), which is why it is asked for by the version of clang.

DEPS_BUILD=(gcc libc6-dev cmake ninja-build pkg-config libuv1-dev libsodium-dev libhttp-parser-dev
    libinih-dev libcjson-dev uthash-dev libssl-dev libminiupnpc-dev libnats-dev)
# Debian builds this one for amd64 alone; without it OpenSSL does its work.
[ "$(dpkg --print-architecture 2>/dev/null)" != amd64 ] || DEPS_BUILD+=(libipsec-mb-dev)
DEPS_DEMO=(curl)
DEPS_BENCH=(microsocks dante-server openssh-client openssh-server shadowsocks-libev)
DEPS_TESTS=(libcmocka-dev clang clang-format valgrind nftables iproute2 curl jq procps
    openssh-server openssh-client openssl git chromium miniupnpd-nftables python3 python3-socks iperf3
    bind9-dnsutils nats-server python3-requests wget proxychains4 nghttp2-server netcat-openbsd)

deps_is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Runs a command as root: directly, or through sudo.
deps_as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "not root and no sudo here; as root, run: $*" >&2
        return 1
    fi
}

# Debian 12 has clang 14 and so libclang-rt-14-dev; Debian 13 has 19. Needs apt's lists.
deps_clang_runtime() {
    apt-cache depends clang 2>/dev/null | sed -n 's/^ *Depends: clang-\([0-9][0-9]*\)$/libclang-rt-\1-dev/p'
}

deps_apt_install() {
    deps_as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
}

# deps_install PACKAGE...: installs those that are missing; does nothing, and needs neither
# network nor root, when all are there. Nonzero when it cannot.
deps_install() {
    local package missing=()
    if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
        echo "no apt here: what is needed are the libraries and tools that Debian calls $*" >&2
        return 0
    fi
    for package in "$@"; do
        deps_is_installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    echo "installing ${missing[*]}"
    deps_as_root apt-get update -q || echo "going on with the package lists that are here" >&2
    if ! deps_apt_install "${missing[@]}"; then
        echo "could not install: ${missing[*]}" >&2
        return 1
    fi
}

# What the tests need on top: also clang's run-time library, whose name is known only with clang.
deps_install_tests() {
    deps_install "${DEPS_BUILD[@]}" "${DEPS_TESTS[@]}" || return 1
    if command -v apt-cache >/dev/null; then
        # shellcheck disable=SC2046 # one name, or none
        deps_install $(deps_clang_runtime)
    fi
}
