/* Proves what a NAT in the lab is: STUN server and client with behaviour discovery (RFC 5780).
 *
 *   lab_natprobe serve PORT PORT2 ADDRESS ADDRESS2 [ADDRESS6 ADDRESS6-2]
 *   lab_natprobe classify SERVER:PORT
 *   lab_natprobe flush                   this system's NAT forgets all its flows, as in a reboot
 *
 * The server answers on each address and port, and from the other ones when CHANGE-REQUEST asks
 * for it. The client prints one line of key=value:
 *
 *   udp        yes, no
 *   mapping    none, EIM, ADM, APDM (RFC 4787 section 4.1)
 *   ports      kept (the mapping has the socket's own port), moved, sequential, random
 *   filtering  EIF, ADF, APDF (section 5)
 *   stray      same, moved: whether a packet that came unasked changes the mapping that its sender
 *              sees later. With a moving one both sides of a hole punch aim at the wrong port.
 */
#include "os/sockaddr.h"
#include "wire/stun.h"

#include <base/addr.h>

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
    FAMILIES = 2,
    SOCKETS = 4, /* of one family: address * 2 + port */
    TRIES = 3,
    TRY_MS = 120,  /* the lab's round trips take up to 40 ms */
    STEP_MAX = 64, /* ports this close together were handed out in order */
};

/* --- sockets -----------------------------------------------------------------------------------
 */

static void die(const char *what)
{
    perror(what);
    exit(EX_OSERR);
}

static int open_udp(const struct addr *at)
{
    struct sockaddr_storage s;
    socklen_t len = sockaddr_encode(&s, at, at->family == ADDR_IPV6 ? AF_INET6 : AF_INET);
    int one = 1;
    int fd = socket(s.ss_family, SOCK_DGRAM, 0);
    if (fd < 0 ||
        (s.ss_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one))) ||
        bind(fd, (struct sockaddr *)&s, len)) {
        die("bind");
    }
    return fd;
}

static void send_to(int fd, const struct addr *to, const uint8_t *data, size_t len)
{
    struct sockaddr_storage s;
    socklen_t size = sockaddr_encode(&s, to, to->family == ADDR_IPV6 ? AF_INET6 : AF_INET);
    /* A refused send is a lost packet: the silence after it is what counts. */
    (void)sendto(fd, data, len, 0, (struct sockaddr *)&s, size);
}

/* --- server ------------------------------------------------------------------------------------
 */

struct family {
    struct addr at[SOCKETS];
    int fd[SOCKETS];
};

static void answer(const struct family *f, size_t arrived)
{
    uint8_t in[STUN_MESSAGE_MAX], out[STUN_MESSAGE_MAX];
    struct sockaddr_storage s;
    socklen_t size = sizeof(s);
    struct stun_message ask;
    ssize_t n = recvfrom(f->fd[arrived], in, sizeof(in), 0, (struct sockaddr *)&s, &size);
    if (n < 0 || stun_read(&ask, in, (size_t)n) || ask.type != STUN_REQUEST) {
        return;
    }
    size_t from = arrived ^ (ask.change & STUN_CHANGE_IP ? 2U : 0U) ^
                  (ask.change & STUN_CHANGE_PORT ? 1U : 0U);
    struct addr client = sockaddr_decode(&s, size);
    struct stun_message say = {
        .type = STUN_SUCCESS,
        .xor_mapped = client,
        .mapped = client,
        .response_origin = f->at[from],
        .other_address = f->at[arrived ^ 3],
    };
    memcpy(say.txid, ask.txid, sizeof(say.txid));
    send_to(f->fd[from], &client, out, stun_write(out, sizeof(out), &say));
}

static int serve(int argc, char **argv)
{
    struct family family[FAMILIES];
    struct pollfd wait[FAMILIES * SOCKETS];
    size_t sockets = (size_t)(argc - 2) * 2;
    for (size_t i = 0; i < sockets; i++) {
        struct family *f = &family[i / SOCKETS];
        struct addr *at = &f->at[i % SOCKETS];
        if (addr_parse_ip(at, argv[2 + i / 2])) {
            return EX_USAGE;
        }
        at->port = (uint16_t)strtoul(argv[i % 2], NULL, 10);
        f->fd[i % SOCKETS] = open_udp(at);
        wait[i] = (struct pollfd){.fd = f->fd[i % SOCKETS], .events = POLLIN};
    }
    for (;;) {
        if (poll(wait, (nfds_t)sockets, -1) < 0) {
            die("poll");
        }
        for (size_t i = 0; i < sockets; i++) {
            if (wait[i].revents) {
                answer(&family[i / SOCKETS], i % SOCKETS);
            }
        }
    }
}

/* --- client ------------------------------------------------------------------------------------
 */

static long now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The answer to `txid` within one try; everything else that arrives is thrown away. */
static bool await(int fd, const uint8_t txid[STUN_TXID_LEN], struct stun_message *out)
{
    static uint8_t in[STUN_MESSAGE_MAX];
    long deadline = now_ms() + TRY_MS, left;
    while ((left = deadline - now_ms()) > 0) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (poll(&wait, 1, (int)left) <= 0) {
            continue;
        }
        ssize_t n = recv(fd, in, sizeof(in), 0);
        if (n > 0 && !stun_read(out, in, (size_t)n) && out->type == STUN_SUCCESS &&
            memcmp(out->txid, txid, STUN_TXID_LEN) == 0) {
            return true;
        }
    }
    return false;
}

static bool ask(int fd, const struct addr *server, uint8_t change, struct stun_message *out)
{
    uint8_t request[STUN_MESSAGE_MAX], txid[STUN_TXID_LEN];
    if (getrandom(txid, sizeof(txid), 0) != (ssize_t)sizeof(txid)) {
        die("getrandom");
    }
    size_t len = stun_write_request(request, sizeof(request), txid, STUN_FORM_PLAIN, change);
    for (int i = 0; i < TRIES; i++) {
        send_to(fd, server, request, len);
        if (await(fd, txid, out)) {
            return true;
        }
    }
    return false;
}

/* What a server sees of this socket; a server that is silent now ends the program. */
static struct addr mapped_at(int fd, const struct addr *server)
{
    struct stun_message m;
    struct addr a;
    if (!ask(fd, server, 0, &m) || !stun_mapped(&m, &a)) {
        (void)fprintf(stderr, "a server that had answered fell silent\n");
        exit(EX_UNAVAILABLE);
    }
    return a;
}

static int open_any(uint8_t family)
{
    struct addr any = {.family = family};
    return open_udp(&any);
}

/* The address from which this system sends to the server. */
static struct addr local_of(int fd, const struct addr *server)
{
    struct sockaddr_storage s;
    socklen_t size = sockaddr_encode(&s, server, server->family == ADDR_IPV6 ? AF_INET6 : AF_INET);
    struct addr bound, local;
    int probe = open_any(server->family);
    if (connect(probe, (struct sockaddr *)&s, size) ||
        (size = sizeof(s), getsockname(probe, (struct sockaddr *)&s, &size))) {
        die("connect");
    }
    local = sockaddr_decode(&s, size);
    (void)close(probe);
    size = sizeof(s);
    if (getsockname(fd, (struct sockaddr *)&s, &size)) {
        die("getsockname");
    }
    bound = sockaddr_decode(&s, size);
    local.port = bound.port;
    return local;
}

/* RFC 5780 section 4.3; `other` is the server's other address and other port. The last of the four
 * destinations only shows one more port. */
static void test_mapping(const struct addr *server, const struct addr *other)
{
    struct addr to[SOCKETS] = {*server, *other, *other, *server}, seen[SOCKETS];
    int fd = open_any(server->family);
    to[1].port = server->port;
    to[3].port = other->port;
    bool in_order = true;
    for (int i = 0; i < SOCKETS; i++) {
        seen[i] = mapped_at(fd, &to[i]);
        in_order = in_order && (i == 0 || (seen[i].port > seen[i - 1].port &&
                                           seen[i].port - seen[i - 1].port <= STEP_MAX));
    }
    struct addr local = local_of(fd, server);
    bool same_host = addr_equal(&seen[0], &seen[3]) && addr_equal(&seen[1], &seen[2]);
    bool all = same_host && addr_equal(&seen[0], &seen[1]);
    const char *mapping = addr_equal(&local, &seen[0]) && all ? "none"
                          : all                               ? "EIM"
                          : same_host                         ? "ADM"
                                                              : "APDM";
    const char *ports = all && local.port == seen[0].port ? "kept"
                        : all                             ? "moved"
                        : in_order                        ? "sequential"
                                                          : "random";
    printf(" mapping=%s ports=%s", mapping, ports);
    (void)close(fd);
}

/* RFC 5780 section 4.4, from a socket that has sent to nobody else. Every answer that the NAT
 * keeps out was a stray packet, so the mapping toward its sender is looked at afterwards. */
static void test_filtering(const struct addr *server, const struct addr *other)
{
    struct stun_message m;
    int fd = open_any(server->family);
    struct addr first = mapped_at(fd, server);
    const char *filtering = ask(fd, server, STUN_CHANGE_IP | STUN_CHANGE_PORT, &m) ? "EIF"
                            : ask(fd, server, STUN_CHANGE_PORT, &m)                ? "ADF"
                                                                                   : "APDF";
    struct addr later = mapped_at(fd, other);
    printf(" filtering=%s stray=%s", filtering, addr_equal(&first, &later) ? "same" : "moved");
    (void)close(fd);
}

static int classify(const char *text)
{
    struct addr server;
    struct stun_message m;
    if (addr_parse(&server, text)) {
        return EX_USAGE;
    }
    int fd = open_any(server.family);
    bool answered = ask(fd, &server, 0, &m);
    (void)close(fd);
    printf("udp=%s", answered ? "yes" : "no");
    if (answered && m.other_address.family != ADDR_NONE) {
        struct addr other = m.other_address;
        test_mapping(&server, &other);
        test_filtering(&server, &other);
    }
    printf("\n");
    return EX_OK;
}

/* --- flush -------------------------------------------------------------------------------------
 */

/* Deletes every entry of the kernel's flow table: ctnetlink, a delete that names none. */
static int flush(void)
{
    struct {
        struct nlmsghdr header;
        struct nfgenmsg family;
    } ask = {
        .header = {.nlmsg_len = sizeof(ask),
                   .nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
        .family = {.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0},
    };
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
    } say;
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
    if (fd < 0 || send(fd, &ask, sizeof(ask), 0) < 0 ||
        recv(fd, &say, sizeof(say), 0) < (ssize_t)sizeof(say)) {
        die("netlink");
    }
    (void)close(fd);
    if (say.header.nlmsg_type != NLMSG_ERROR || say.error.error != 0) {
        (void)fprintf(stderr, "flush: %s\n", strerror(-say.error.error));
        return EX_OSERR;
    }
    return EX_OK;
}

int main(int argc, char **argv)
{
    int status = EX_USAGE;
    if (argc == 3 && strcmp(argv[1], "classify") == 0) {
        status = classify(argv[2]);
    } else if ((argc == 6 || argc == 8) && strcmp(argv[1], "serve") == 0) {
        status = serve(argc - 2, argv + 2);
    } else if (argc == 2 && strcmp(argv[1], "flush") == 0) {
        status = flush();
    }
    if (status == EX_USAGE) {
        (void)fprintf(stderr, "usage: lab_natprobe serve PORT PORT2 ADDRESS ADDRESS2 "
                              "[ADDRESS6 ADDRESS6-2] | classify SERVER:PORT | flush\n");
    }
    return status;
}
