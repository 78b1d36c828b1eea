# Ways to a relay (bash, sourced after lab.sh by the scripts that try them out).
#
#   home 10.77.0.2 -X-+-X- laptop 10.77.0.3        X = arriving UDP is dropped
#   web, exit         |    front, curl
#                     +--- relay 10.77.0.4 = relay.test
#                     '--- proxy 10.77.0.5: adit as an HTTP proxy with a password, :3128
#
# Environment: LAB_RELAY_BYTES, what each way carries (64 MiB).

LAB_RELAY_BYTES=${LAB_RELAY_BYTES:-$((64 << 20))}

relays_network() {
    lab_three
    lab_host proxy 10.77.0.5
    lab_make_key proxy
    echo '10.77.0.4 relay.test' >>"$LAB/hosts"
    lab_big_file "$LAB_RELAY_BYTES"
    lab_drop_udp home laptop
    local name
    for name in home laptop; do
        cp "$LAB/$name.ini" "$LAB/$name.base"
    done
}

# --- certificates --------------------------------------------------------------------------------

# An authority that the nodes trust as they trust the system's: $LAB/ca.crt.
relays_authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '/CN=lab' \
        -keyout "$LAB/ca.key" -out "$LAB/ca.crt" 2>>"$LAB/openssl.log"
    export SSL_CERT_FILE=$LAB/ca.crt
}

# relays_certificate FILE NAME FROM UNTIL: $LAB/FILE.crt and .key; the times are YYYYMMDDHHMMSSZ.
relays_certificate() {
    local file=$LAB/$1
    : >"$LAB/ca.index"
    cat >"$LAB/ca.cnf" <<CNF
[ca]
default_ca = lab
[lab]
database = $LAB/ca.index
new_certs_dir = $LAB
rand_serial = yes
policy = any
x509_extensions = leaf
[any]
commonName = supplied
[leaf]
subjectAltName = DNS:$2
CNF
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$2" \
        -keyout "$file.key" -out "$file.csr" 2>>"$LAB/openssl.log"
    openssl ca -batch -config "$LAB/ca.cnf" -cert "$LAB/ca.crt" -keyfile "$LAB/ca.key" -md sha256 \
        -notext -startdate "$3" -enddate "$4" -in "$file.csr" -out "$file.crt" 2>>"$LAB/openssl.log"
}

relays_good_certificate() {
    relays_certificate "$1" "$2" "$(date -u -d yesterday +%Y%m%d%H%M%SZ)" \
        "$(date -u -d tomorrow +%Y%m%d%H%M%SZ)"
}

# The pin of a certificate, made by others than us.
relays_pin() {
    openssl x509 -in "$1" -noout -pubkey | openssl pkey -pubin -outform der |
        openssl dgst -sha256 -binary | base64
}

# --- the proxy -----------------------------------------------------------------------------------

relays_proxy() {
    lab_ini proxy 10.77.0.5:41000
    echo 'user:the%secret word' >"$LAB/users"
    chmod 600 "$LAB/users"
    cat >>"$LAB/proxy.ini" <<INI
[front]
listen = 10.77.0.5:3128
users = $LAB/users

[route]
default = direct
INI
    lab_adit proxy
}

# The relay answers the nodes no more, unless they come through the proxy.
relays_cut() {
    local name
    for name in home laptop; do
        lab_exec "$name" nft -f - <<NFT
table inet lab_relay {
    chain cut {
        type filter hook output priority 0; policy accept;
        ip daddr 10.77.0.4 counter reject with tcp reset
    }
}
NFT
    done
}

# --- trying --------------------------------------------------------------------------------------

# relays_ini NODE URL [LINE...]: its [relay] has this url and these lines.
relays_ini() {
    local node=$1 url=$2 more=
    shift 2
    [ $# -eq 0 ] || more=$(printf '\\n%s' "$@")
    sed "s|^url = .*|url = $url$more|" "$LAB/$node.base" >"$LAB/$node.ini"
    chmod 600 "$LAB/$node.ini" # there may be a password in it
}

relays_says() {
    lab_status laptop 2>/dev/null | jq -r ".relays[0].$1 // \"\""
}

relays_why_is() {
    [[ "$(relays_says why)" == *"$1"* ]]
}

relays_is_up() {
    [ "$(relays_says state)" = connected ]
}

# relays_carry WHAT URL [LINE...]: both nodes get there, and the big file goes through.
relays_carry() {
    local what=$1 node
    shift
    for node in home laptop; do
        relays_ini "$node" "$@"
        lab_adit "$node"
    done
    lab_first_page
    assert_path laptop home relay
    [[ "$(relays_says url)" == "$1"* ]] || lab_fail "$what: the relay is $(relays_says url)"
    lab_say "$what"
    lab_steady laptop home lab_download
    assert_path laptop home relay
    assert_path home laptop relay
    lab_stop laptop
    lab_stop home
}

# relays_refuse WHAT WHY URL [LINE...]: the laptop does not get there, and says why.
relays_refuse() {
    local what=$1 why=$2
    shift 2
    relays_ini laptop "$@"
    lab_adit laptop
    lab_wait_until 20 relays_why_is "$why"
    lab_wait_until 5 grep -qF "$why" "$LAB/laptop.log"
    ! relays_is_up || lab_fail "$what, and yet the relay is used"
    lab_say "$what: $(relays_says why)"
    lab_stop laptop
}
