# The genuine derper (bash, sourced): built once with the Go toolchain, outside the tree.
#
#   derper_get    DERPER = its path, exported; nonzero, with DERPER_WHY = the reason, without it

derper_get() {
    local version=${DERPER_VERSION:-v1.98.0} log
    DERPER=${XDG_CACHE_HOME:-$HOME/.cache}/adit-tests/derper-$version/derper
    export DERPER
    [ ! -x "$DERPER" ] || return 0
    if ! command -v go >/dev/null; then
        DERPER_WHY="no Go toolchain to build derper with"
        return 1
    fi
    log=$(mktemp)
    if ! (cd / && GOBIN=${DERPER%/*} GOFLAGS=-mod=mod go install "tailscale.com/cmd/derper@$version") \
        >"$log" 2>&1; then
        tail -n 3 "$log"
        rm -f "$log"
        DERPER_WHY="derper $version does not build here"
        return 1
    fi
    rm -f "$log"
}
