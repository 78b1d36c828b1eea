/* The exit of a real pair of nodes: unix sockets, ceilings of one peer, a proxy behind it. */
#include "app/client_internal.h"

#include "unit/app/pair_world.h"

#include <netinet/tcp.h>
#include <signal.h>

#define FRONT "[front]\nlisten = 127.0.0.1:0\n"
#define NO_FRONT "[front]\nlisten = none\n"
#define ALL_TO_HOME FRONT "[route]\ndefault = peer home\n"

static int listen_unix(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    (void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
    (void)unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static int connect_forward(struct pair_world *t, size_t index)
{
    struct addr at = listener_address(t->laptop.app->listeners[index]);
    return world_connect(&at);
}

/* Only the one that is listed; `any` is none. */
static void a_unix_socket_is_reached_if_listed(void **state)
{
    (void)state;
    char path[64], home[256], laptop[256], in[4];
    (void)snprintf(path, sizeof(path), "/tmp/adit-exit-%ld", (long)getpid());
    (void)snprintf(home, sizeof(home), "allow = any, unix:%s\n" NO_FRONT, path);
    (void)snprintf(laptop, sizeof(laptop),
                   FRONT "[forward]\n127.0.0.1:0 = home:%s\n[::1]:0 = home:%s-other\n", path, path);
    int listener = listen_unix(path);
    struct pair_world *t = pair_new(home, laptop);
    int client = connect_forward(t, 1);
    int server = world_accept(&t->w, listener);
    world_put(&t->w, client, "ping", 4);
    assert_int_equal(world_get(&t->w, server, in, 4), 4);
    assert_int_equal(shutdown(client, SHUT_WR), 0);
    assert_int_equal(world_end(&t->w, server), 0);
    world_put(&t->w, server, "pong", 4);
    assert_int_equal(world_get(&t->w, client, in, 4), 4);
    (void)close(server);
    assert_int_equal(world_end(&t->w, client), 0);
    (void)close(client);
    client = connect_forward(t, 2);
    assert_int_equal(world_end(&t->w, client), -ECONNRESET);
    assert_int_equal(t->home.app->ctx.counters.exit.failures[CAUSE_NOT_ALLOWED], 1);
    (void)close(client);
    (void)close(listener);
    (void)unlink(path);
    pair_free(t);
}

static int ask_open(struct pair_world *t, int listener, const struct addr *at, int *server)
{
    int client = world_ask(&t->w, &t->socks, "home.peer", at->port);
    if (world_rep(&t->w, client) != 0) {
        (void)close(client);
        return -1;
    }
    *server = world_accept(&t->w, listener);
    return client;
}

static void a_peer_has_so_many_at_once(void **state)
{
    (void)state;
    struct addr at;
    int listener = world_listen(&at);
    int server[3], client[3];
    struct pair_world *t = pair_new("allow = any\nstreams_max = 2\n" NO_FRONT, FRONT);
    client[0] = ask_open(t, listener, &at, &server[0]);
    client[1] = ask_open(t, listener, &at, &server[1]);
    assert_true(client[0] >= 0 && client[1] >= 0);
    assert_int_equal(ask_open(t, listener, &at, &server[2]), -1);
    assert_int_equal(t->home.app->ctx.counters.exit.over_peer_limit, 1);
    assert_int_equal(t->home.app->exits.count, 2);
    (void)close(client[0]);
    (void)close(server[0]);
    WORLD_UNTIL(&t->w, t->home.app->exits.count == 1);
    client[2] = ask_open(t, listener, &at, &server[2]);
    assert_true(client[2] >= 0);
    for (size_t i = 1; i < 3; i++) {
        (void)close(client[i]);
        (void)close(server[i]);
    }
    (void)close(listener);
    pair_free(t);
}

/* Also those that are refused by their target count, or a port scan would be free. */
static void a_peer_gets_so_many_a_second(void **state)
{
    (void)state;
    struct addr at;
    int refusing = world_bind(&at);
    struct pair_world *t = pair_new("allow = any\nstreams_rate = 2\n" NO_FRONT, FRONT);
    unsigned limited = 0;
    for (unsigned i = 0; i < 200 && limited == 0; i++) {
        limited += pair_rep(t, "home.peer", at.port) == SOCKS5_REP_FAILURE;
    }
    assert_int_equal(limited, 1);
    assert_int_equal(t->home.app->ctx.counters.exit.over_peer_limit, 1);
    assert_true(t->home.app->ctx.counters.exit.failures[CAUSE_REFUSED] >= 2);
    (void)close(refusing);
    pair_free(t);
}

/* --- a proxy behind the exit ----------------------------------------------------------------- */

static struct pair_world *with_upstream(const char *allow, const char *scheme,
                                        const struct addr *proxy, const char *rest)
{
    char home[512];
    (void)snprintf(home, sizeof(home), "%s" NO_FRONT "[exit]\nupstream = %s127.0.0.1:%u\n%s", allow,
                   scheme, (unsigned)proxy->port, rest);
    return pair_new(home, ALL_TO_HOME);
}

static void hears(struct pair_world *t, int fd, const void *data, size_t len)
{
    char in[512];
    assert_true(len <= sizeof(in));
    assert_int_equal(world_get(&t->w, fd, in, len), len);
    assert_memory_equal(in, data, len);
}

#define HEARS(t, fd, text) hears(t, fd, text, sizeof(text) - 1)
#define SAYS(t, fd, text) world_put(&(t)->w, fd, text, sizeof(text) - 1)

static void names_go_to_the_upstream_as_they_are(void **state)
{
    (void)state;
    struct addr at;
    int listener = world_listen(&at);
    struct pair_world *t =
        with_upstream("allow = far.example:80, 127.0.0.1\n", "socks5://ann:pw@", &at, "");
    int client = world_ask(&t->w, &t->socks, "far.example", 80);
    int proxy = world_accept(&t->w, listener);
    HEARS(t, proxy, "\x05\x02\x00\x02");
    SAYS(t, proxy, "\x05\x02");
    HEARS(t, proxy,
          "\x01\x03"
          "ann\x02"
          "pw");
    SAYS(t, proxy, "\x01\x00");
    HEARS(t, proxy,
          "\x05\x01\x00\x03\x0b"
          "far.example\x00\x50");
    SAYS(t, proxy,
         "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"
         "banner");
    assert_int_equal(world_rep(&t->w, client), 0);
    HEARS(t, client, "banner");
    SAYS(t, client, "hello");
    HEARS(t, proxy, "hello");
    assert_int_equal(shutdown(client, SHUT_WR), 0);
    assert_int_equal(world_end(&t->w, proxy), 0);
    world_reset(proxy);
    assert_int_equal(world_end(&t->w, client), -ECONNRESET);
    (void)close(client);
    /* What the list does not name is not asked for; what is at home needs no proxy. */
    assert_int_equal(pair_rep(t, "near.example", 80), SOCKS5_REP_NOT_ALLOWED);
    assert_int_equal(pair_rep(t, "far.example", 81), SOCKS5_REP_NOT_ALLOWED);
    assert_int_equal(pair_rep(t, "192.0.2.1", 80), SOCKS5_REP_NOT_ALLOWED);
    assert_true(accept(listener, NULL, NULL) < 0);
    struct addr web;
    int here = world_listen(&web);
    assert_int_equal(pair_rep(t, "home.peer", web.port), 0);
    (void)close(here);
    (void)close(listener);
    pair_free(t);
}

static void an_http_upstream_says_why_not(void **state)
{
    (void)state;
    struct addr at;
    int listener = world_listen(&at);
    struct pair_world *t = with_upstream("allow = any\n", "http://", &at, "");
    int client = world_ask(&t->w, &t->socks, "192.0.2.7", 443);
    int proxy = world_accept(&t->w, listener);
    HEARS(t, proxy, "CONNECT 192.0.2.7:443 HTTP/1.1\r\nHost: 192.0.2.7:443\r\n\r\n");
    SAYS(t, proxy, "HTTP/1.1 200 OK\r\n\r\nbanner");
    assert_int_equal(world_rep(&t->w, client), 0);
    HEARS(t, client, "banner");
    (void)close(client);
    assert_int_equal(world_end(&t->w, proxy), 0);
    (void)close(proxy);
    client = world_ask(&t->w, &t->socks, "far.example", 443);
    proxy = world_accept(&t->w, listener);
    SAYS(t, proxy, "HTTP/1.1 403 No\r\n\r\n");
    assert_int_equal(world_rep(&t->w, client), SOCKS5_REP_NOT_ALLOWED);
    (void)close(client);
    (void)close(proxy);
    client = world_ask(&t->w, &t->socks, "far.example", 443);
    (void)close(world_accept(&t->w, listener));
    assert_int_equal(world_rep(&t->w, client), SOCKS5_REP_FAILURE);
    (void)close(client);
    (void)close(listener);
    pair_free(t);
}

static void a_silent_upstream_is_given_up(void **state)
{
    (void)state;
    struct addr at;
    int listener = world_listen(&at);
    struct pair_world *t =
        with_upstream("allow = any\n", "socks5://", &at, "dial_timeout = 200ms\n");
    int client = world_ask(&t->w, &t->socks, "far.example", 443);
    int proxy = world_accept(&t->w, listener);
    assert_int_equal(world_rep(&t->w, client), SOCKS5_REP_TTL_EXPIRED);
    HEARS(t, proxy, "\x05\x01\x00");
    assert_int_equal(world_end(&t->w, proxy), 0);
    (void)close(client);
    /* Who leaves meanwhile is not dialled for. */
    client = world_ask(&t->w, &t->socks, "far.example", 443);
    int second = world_accept(&t->w, listener);
    world_reset(client);
    WORLD_UNTIL(&t->w, t->home.app->exits.count == 0);
    (void)close(second);
    (void)close(proxy);
    (void)close(listener);
    pair_free(t);
}

/* FIN from the target first, and then a reset: the application, still sending, sees both. */
static void a_reset_follows_a_half_close(void **state)
{
    (void)state;
    struct addr at;
    char byte;
    int listener = world_listen(&at);
    int server;
    struct pair_world *t = pair_new("allow = any\n" NO_FRONT, FRONT);
    int client = ask_open(t, listener, &at, &server);
    assert_int_equal(shutdown(server, SHUT_WR), 0);
    assert_int_equal(world_end(&t->w, client), 0);
    world_put(&t->w, client, "x", 1);
    assert_int_equal(world_get(&t->w, server, &byte, 1), 1);
    world_reset(server);
    int err = 0;
    socklen_t len = sizeof(err);
    WORLD_UNTIL(&t->w, getsockopt(client, SOL_SOCKET, SO_ERROR, &err, &len) != 0 || err != 0);
    assert_true(err == ECONNRESET || err == EPIPE);
    (void)close(client);
    /* And the other way round: the application's end, and then its reset. */
    client = ask_open(t, listener, &at, &server);
    assert_int_equal(shutdown(client, SHUT_WR), 0);
    assert_int_equal(world_end(&t->w, server), 0);
    world_reset(client);
    err = 0;
    WORLD_UNTIL(&t->w, send(server, "x", 1, MSG_NOSIGNAL) < 0 ||
                           getsockopt(server, SOL_SOCKET, SO_ERROR, &err, &len) != 0 || err != 0);
    (void)close(server);
    (void)close(listener);
    WORLD_UNTIL(&t->w, t->home.app->exits.count == 0 && t->laptop.app->clients.count == 0);
    pair_free(t);
}

static int option(const struct tcp *tcp, int level, int name)
{
    uv_os_fd_t fd;
    int value = 0;
    socklen_t len = sizeof(value);
    assert_int_equal(uv_fileno(&tcp->uv.handle, &fd), 0);
    assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

/* Small writes at once, and a machine that has gone is noticed: asked of the listener only. */
static void what_is_accepted_has_its_options(void **state)
{
    (void)state;
    struct pair_world *t = pair_new("allow = any\n" NO_FRONT, FRONT);
    size_t before = t->laptop.app->clients.count;
    int client = world_connect(&t->socks);
    WORLD_UNTIL(&t->w, t->laptop.app->clients.count == before + 1);
    const struct tcp *tcp = LIST_FIRST(&t->laptop.app->clients.list)->tcp;
    assert_true(option(tcp, IPPROTO_TCP, TCP_NODELAY) != 0);
    assert_true(option(tcp, SOL_SOCKET, SO_KEEPALIVE) != 0);
    (void)close(client);
    WORLD_UNTIL(&t->w, t->laptop.app->clients.count == before);
    pair_free(t);
}

/* A connection to this machine stands before libuv knows: what is sent and ended meanwhile is not
 * forgotten. */
static void all_at_once_and_the_end(void **state)
{
    (void)state;
    static const char *const targets[] = {"home.peer", "127.0.0.1"}; /* by the peer, from here */
    struct addr at;
    char in[4];
    int listener = world_listen(&at);
    struct pair_world *t = pair_new("allow = any\n" NO_FRONT, FRONT "[route]\ndefault = direct\n");
    for (size_t i = 0; i < 2; i++) {
        char said[64] = {5, 1, 0, 5, 1, 0, 3, (char)strlen(targets[i])};
        int len = snprintf(said + 8, sizeof(said) - 8, "%s%c%cping", targets[i], at.port >> 8,
                           at.port & 255);
        int client = world_connect(&t->socks);
        assert_int_equal(send(client, said, 8 + (size_t)len, 0), 8 + len);
        assert_int_equal(shutdown(client, SHUT_WR), 0);
        assert_int_equal(world_rep(&t->w, client), 0);
        int server = world_accept(&t->w, listener);
        assert_int_equal(world_get(&t->w, server, in, 4), 4);
        assert_memory_equal(in, "ping", 4);
        assert_int_equal(world_end(&t->w, server), 0);
        world_put(&t->w, server, "pong", 4);
        assert_int_equal(world_get(&t->w, client, in, 4), 4);
        (void)close(server);
        assert_int_equal(world_end(&t->w, client), 0);
        (void)close(client);
    }
    (void)close(listener);
    WORLD_UNTIL(&t->w, t->home.app->exits.count == 0 && t->laptop.app->clients.count == 0);
    pair_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_unix_socket_is_reached_if_listed),
        cmocka_unit_test(a_peer_has_so_many_at_once),
        cmocka_unit_test(a_peer_gets_so_many_a_second),
        cmocka_unit_test(names_go_to_the_upstream_as_they_are),
        cmocka_unit_test(an_http_upstream_says_why_not),
        cmocka_unit_test(a_silent_upstream_is_given_up),
        cmocka_unit_test(a_reset_follows_a_half_close),
        cmocka_unit_test(what_is_accepted_has_its_options),
        cmocka_unit_test(all_at_once_and_the_end),
    };
    (void)signal(SIGPIPE, SIG_IGN); /* as the program does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
