/* The front and a peer, both real: services, wishes, what may not be reached, a restart. */
#include "unit/app/pair_world.h"

#include <adit/relay.h>

#define FRONT "[front]\nlisten = 127.0.0.1:0\n"
#define NO_FRONT "[front]\nlisten = none\n"

static void serve_line(char *out, size_t cap, const char *rest, const struct addr *at)
{
    (void)snprintf(out, cap, NO_FRONT "[serve]\nwiki = 127.0.0.1:%u\n%s", (unsigned)at->port, rest);
}

static void a_service_is_reached_by_its_name(void **state)
{
    (void)state;
    struct addr at;
    char home[512];
    int listener = world_listen(&at);
    serve_line(home, sizeof(home), "admin:8443 = localhost:1 laptop\n", &at);
    struct pair_world *t = pair_new(home, FRONT);
    int client = world_ask(&t->w, &t->socks, "wiki.home.peer", 80);
    int server = world_accept(&t->w, listener);
    assert_int_equal(world_rep(&t->w, client), 0);
    char in[4];
    world_put(&t->w, client, "ping", 4);
    assert_int_equal(world_get(&t->w, server, in, 4), 4);
    struct adit_peer_stats s;
    assert_true(app_peer_stats(t->laptop.app, 0, &s));
    assert_int_equal(s.path.kind, ADIT_PATH_DIRECT);
    (void)close(client);
    (void)close(server);
    /* Everything else of home stays closed: the wiki's own port, other services, other ports. */
    assert_int_equal(pair_rep(t, "home.peer", at.port), SOCKS5_REP_NOT_ALLOWED);
    assert_int_equal(pair_rep(t, "wiki.home.peer", 81), SOCKS5_REP_HOST_UNREACHABLE);
    assert_int_equal(pair_rep(t, "wik.home.peer", 80), SOCKS5_REP_HOST_UNREACHABLE);
    assert_int_equal(pair_rep(t, "admin.home.peer", 8443), SOCKS5_REP_REFUSED);
    assert_int_equal(pair_rep(t, "wiki.hom.peer", 80), SOCKS5_REP_HOST_UNREACHABLE);
    (void)close(listener);
    pair_free(t);
}

static void a_service_is_for_those_it_lists(void **state)
{
    (void)state;
    struct addr at;
    char home[512];
    int listener = world_listen(&at);
    serve_line(home, sizeof(home),
               "private = localhost:1 other\n[peer other]\n"
               "key = AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\nallow = any\n",
               &at);
    struct pair_world *t = pair_new(home, FRONT);
    assert_int_equal(pair_rep(t, "private.home.peer", 80), SOCKS5_REP_NOT_ALLOWED);
    (void)close(listener);
    pair_free(t);
}

static void a_service_may_be_a_unix_socket(void **state)
{
    (void)state;
    struct pair_world *t;
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    char home[400];
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    (void)snprintf(sa.sun_path, sizeof(sa.sun_path), "/tmp/adit-serve-%ld", (long)getpid());
    (void)unlink(sa.sun_path);
    (void)snprintf(home, sizeof(home), NO_FRONT "[serve]\na = %s\nb = %s-not\n", sa.sun_path,
                   sa.sun_path);
    assert_int_equal(bind(listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(listener, 4), 0);
    assert_int_equal(fcntl(listener, F_SETFL, O_NONBLOCK), 0);
    t = pair_new(home, FRONT);
    char in[4];
    int client = world_ask(&t->w, &t->socks, "a.home.peer", 80);
    int server = world_accept(&t->w, listener);
    assert_int_equal(world_rep(&t->w, client), 0);
    world_put(&t->w, server, "pong", 4);
    (void)close(server);
    assert_int_equal(world_get(&t->w, client, in, 4), 4);
    assert_int_equal(world_end(&t->w, client), 0);
    (void)close(client);
    assert_int_equal(pair_rep(t, "b.home.peer", 80), SOCKS5_REP_REFUSED);
    (void)unlink(sa.sun_path);
    (void)close(listener);
    pair_free(t);
}

static void a_service_lasts_as_long_as_its_asker(void **state)
{
    (void)state;
    struct addr at;
    int listener = world_listen(&at);
    struct pair_world *t = pair_new(NO_FRONT, FRONT);
    char path[64], text[128], in[256] = "";
    (void)snprintf(path, sizeof(path), "%s/home.sock", t->folder);
    assert_int_equal(pair_rep(t, "x.home.peer", 80), SOCKS5_REP_HOST_UNREACHABLE);
    int asker = pair_unix(path);
    (void)snprintf(text, sizeof(text), "POST /serve/x=127.0.0.1:%u,laptop HTTP/1.1\r\n\r\n",
                   (unsigned)at.port);
    world_put(&t->w, asker, text, strlen(text));
    assert_true(world_get(&t->w, asker, in, 12) == 12);
    assert_memory_equal(in, "HTTP/1.1 200", 12);
    assert_int_equal(pair_rep(t, "x.home.peer", 80), 0);
    (void)close(asker);
    WORLD_UNTIL(&t->w, LIST_EMPTY(&t->home.app->exits.services));
    assert_int_equal(pair_rep(t, "x.home.peer", 80), SOCKS5_REP_HOST_UNREACHABLE);
    static const char *const bad[] = {"/serve/x", "/serve/x=1", "/serve/.=localhost:1",
                                      "/serve/x=localhost:1,nobody"};
    for (size_t i = 0; i < 4; i++) {
        asker = pair_unix(path);
        (void)snprintf(text, sizeof(text), "POST %s HTTP/1.1\r\n\r\n", bad[i]);
        world_put(&t->w, asker, text, strlen(text));
        assert_true(world_get(&t->w, asker, in, 12) == 12);
        assert_memory_equal(in, "HTTP/1.1 400", 12);
        (void)close(asker);
    }
    (void)close(listener);
    pair_free(t);
}

/* home lets laptop go everywhere, but not through home's own front as if it were at home. */
static void a_peer_does_not_come_in_at_our_front(void **state)
{
    (void)state;
    for (int named = 0; named < 2; named++) {
        struct addr hole;
        int fd = world_bind(&hole);
        (void)close(fd); /* a free port, most likely still free */
        char home[256], line[64] = "";
        if (named) {
            (void)snprintf(line, sizeof(line), "allow = 127.0.0.1:%u\n", (unsigned)hole.port);
        }
        (void)snprintf(home, sizeof(home), "allow = any\n%s[front]\nlisten = 127.0.0.1:%u\n", line,
                       (unsigned)hole.port);
        struct pair_world *t = pair_new(home, FRONT "[route]\ndefault = peer home\n");
        unsigned want = named ? 0 : SOCKS5_REP_NOT_ALLOWED;
        assert_int_equal(pair_rep(t, "127.0.0.1", hole.port), want);
        assert_int_equal(pair_rep(t, "0.0.0.0", hole.port), want);
        assert_int_equal(pair_rep(t, "0x7f000001", hole.port), want);
        assert_int_equal(pair_rep(t, "169.254.169.254", 80), SOCKS5_REP_NOT_ALLOWED);
        assert_int_equal(pair_rep(t, "::ffff:169.254.169.254", 80), SOCKS5_REP_NOT_ALLOWED);
        pair_free(t);
    }
}

static void the_user_name_chooses_the_exit(void **state)
{
    (void)state;
    struct addr at;
    char home[64];
    int listener = world_listen(&at);
    (void)snprintf(home, sizeof(home), "allow = 127.0.0.1:%u\n" NO_FRONT, (unsigned)at.port);
    struct pair_world *t =
        pair_new(home, FRONT "[route]\n127.0.0.2 = refuse\n127.0.0.1:1 = refuse\n");
    const struct context_counters *n = &t->laptop.app->ctx.counters;
    assert_int_equal(pair_rep(t, "127.0.0.1", at.port), SOCKS5_REP_NOT_ALLOWED); /* no route */
    static const char *const good[] = {"@home", "ann@home", "ann+any@home", "ann@HOME+direct-only"};
    for (size_t i = 0; i < 4; i++) {
        int fd = pair_ask_as(t, good[i], "127.0.0.1", at.port);
        assert_true(fd >= 0);
        (void)close(world_accept(&t->w, listener));
        assert_int_equal(world_end(&t->w, fd), 0);
        (void)close(fd);
    }
    assert_int_equal(t->home.app->ctx.counters.exit.connected, 4);
    assert_int_equal(pair_ask_as(t, "ann", "127.0.0.1", at.port), -SOCKS5_REP_NOT_ALLOWED);
    assert_int_equal(pair_ask_as(t, "@home", "127.0.0.2", at.port), -SOCKS5_REP_NOT_ALLOWED);
    assert_int_equal(pair_ask_as(t, "@home", "127.0.0.1", 1), -SOCKS5_REP_NOT_ALLOWED);
    assert_int_equal(pair_ask_as(t, "@hom", "127.0.0.1", at.port), -SOCKS5_REP_FAILURE);
    assert_int_equal(pair_ask_as(t, "a+fast", "127.0.0.1", at.port), -SOCKS5_REP_FAILURE);
    assert_int_equal(n->front.failures[CAUSE_UNKNOWN_WISH], 2);
    assert_int_equal(n->front.failures[CAUSE_REFUSED_BY_ROUTE], 4);
    (void)close(listener);
    pair_free(t);
}

/* A listener whose queue is full: connecting to it takes until somebody makes room. */
enum { FILLERS = 4, EARLY = 1500 };

struct jam {
    int listener, fillers[FILLERS];
    struct addr at;
};

static void jam_open(struct jam *j)
{
    j->listener = world_bind(&j->at);
    assert_int_equal(listen(j->listener, 0), 0);
    for (size_t i = 0; i < FILLERS; i++) {
        j->fillers[i] = world_connect(&j->at);
    }
}

static void jam_close(struct jam *j)
{
    for (size_t i = 0; i < FILLERS; i++) {
        (void)close(j->fillers[i]);
    }
    (void)close(j->listener);
}

/* The next connection that brings a byte. */
static int jam_accept(struct jam *j, struct pair_world *t, void *first)
{
    for (size_t i = 0; i < FILLERS; i++) {
        (void)close(j->fillers[i]);
    }
    for (;;) {
        int fd = world_accept(&t->w, j->listener);
        if (world_get(&t->w, fd, first, 1) == 1) {
            return fd;
        }
        (void)close(fd);
    }
}

static void fill(uint8_t data[EARLY])
{
    for (size_t i = 0; i < EARLY; i++) {
        data[i] = (uint8_t)(i * 7 + 1);
    }
}

/* A request, until home dials a target that does not answer yet. Bytes behind it are there then. */
static int ask_jammed(struct pair_world *t, const struct jam *j, const void *data, size_t len)
{
    struct adit_peer_stats s;
    int client = world_ask(&t->w, &t->socks, "home.peer", j->at.port);
    world_put(&t->w, client, data, len);
    WORLD_UNTIL(&t->w, t->home.app->exits.dialling == 1 && app_peer_stats(t->home.app, 0, &s) &&
                           s.bytes_in >= len);
    return client;
}

static void check_arrived(struct pair_world *t, struct jam *j, int client, const uint8_t *data)
{
    uint8_t in[EARLY];
    int server = jam_accept(j, t, in);
    assert_int_equal(world_get(&t->w, server, in + 1, EARLY - 1), EARLY - 1);
    assert_memory_equal(in, data, EARLY);
    assert_int_equal(world_rep(&t->w, client), 0);
    assert_int_equal(shutdown(client, SHUT_WR), 0);
    assert_int_equal(world_end(&t->w, server), 0); /* each byte came once */
    world_put(&t->w, server, "pong", 4);
    (void)close(server);
    assert_int_equal(world_get(&t->w, client, in, EARLY), 4);
    (void)close(client);
    (void)close(j->listener);
}

/* What the client sends behind its request is at the exit before there is a connection. */
static void early_data_goes_along(void **state)
{
    (void)state;
    struct jam j;
    uint8_t data[EARLY];
    char home[64];
    fill(data);
    jam_open(&j);
    (void)snprintf(home, sizeof(home), "allow = 127.0.0.1:%u\n" NO_FRONT, (unsigned)j.at.port);
    struct pair_world *t = pair_new(home, FRONT);
    int client = ask_jammed(t, &j, data, EARLY);
    check_arrived(t, &j, client, data);
    assert_int_equal(t->laptop.app->ctx.counters.front.reopened, 0);
    pair_free(t);
}

/* A home with the same key turns up and knows nothing of the session. The old one goes. */
static void restart_home(struct pair_world *t, uint16_t port)
{
    char home[128], endpoint[ADDR_TEXT_MAX];
    struct pair_node before = t->home;
    struct addr laptop = app_local(t->laptop.app);
    const struct context_counters *n = &t->laptop.app->ctx.counters;
    (void)snprintf(home, sizeof(home), "endpoint = %s\nallow = 127.0.0.1:%u\n" NO_FRONT,
                   addr_format(&laptop, endpoint), (unsigned)port);
    pair_start(t, &t->home, "home2", 0, home);
    WORLD_UNTIL(&t->w, n->front.reopened + n->front.failures[CAUSE_PEER_RESTARTED] > 0);
    pair_stop(t, &before);
    config_free(before.config);
}

/* What is not accepted yet is asked for once more. */
static void a_restart_of_the_peer_is_not_the_clients_business(void **state)
{
    (void)state;
    struct jam j;
    uint8_t data[EARLY];
    char home[64];
    fill(data);
    jam_open(&j);
    (void)snprintf(home, sizeof(home), "allow = 127.0.0.1:%u\n" NO_FRONT, (unsigned)j.at.port);
    struct pair_world *t = pair_new(home, FRONT);
    int client = ask_jammed(t, &j, data, 0);
    restart_home(t, j.at.port);
    assert_int_equal(t->laptop.app->ctx.counters.front.reopened, 1);
    world_put(&t->w, client, data, EARLY);
    check_arrived(t, &j, client, data);
    pair_free(t);
}

/* But not if bytes went along, which may have done their work already. */
static void what_may_have_arrived_is_not_sent_twice(void **state)
{
    (void)state;
    struct jam j;
    uint8_t data[EARLY];
    char home[64];
    fill(data);
    jam_open(&j);
    (void)snprintf(home, sizeof(home), "allow = 127.0.0.1:%u\n" NO_FRONT, (unsigned)j.at.port);
    struct pair_world *t = pair_new(home, FRONT);
    int client = ask_jammed(t, &j, data, EARLY);
    restart_home(t, j.at.port);
    assert_int_equal(world_rep(&t->w, client), SOCKS5_REP_FAILURE);
    assert_int_equal(world_end(&t->w, client), 0);
    (void)close(client);
    assert_int_equal(t->laptop.app->ctx.counters.front.reopened, 0);
    assert_int_equal(t->home.app->ctx.counters.exit.requests, 0);
    jam_close(&j);
    pair_free(t);
}

/* A plain GET goes along with the request for a stream, and may be asked for twice; a POST not. */
static void heads_of_plain_http_go_along(void **state)
{
    (void)state;
    for (int post = 0; post < 2; post++) {
        struct jam j;
        char home[64], text[128], in[64];
        struct adit_peer_stats s;
        jam_open(&j);
        (void)snprintf(home, sizeof(home), "allow = 127.0.0.1:%u\n" NO_FRONT, (unsigned)j.at.port);
        struct pair_world *t = pair_new(home, FRONT);
        int client = world_connect(&t->socks);
        int len = snprintf(text, sizeof(text), "%s http://home.peer:%u/x HTTP/1.1\r\n\r\n",
                           post ? "POST" : "GET", (unsigned)j.at.port);
        world_put(&t->w, client, text, (size_t)len);
        WORLD_UNTIL(&t->w, t->home.app->exits.dialling == 1 && app_peer_stats(t->home.app, 0, &s) &&
                               s.bytes_in > 20);
        restart_home(t, j.at.port);
        if (post) {
            assert_int_equal(world_get(&t->w, client, in, 12), 12);
            assert_memory_equal(in, "HTTP/1.1 502", 12);
            assert_int_equal(t->home.app->ctx.counters.exit.requests, 0);
            jam_close(&j);
        } else {
            int server = jam_accept(&j, t, in);
            assert_int_equal(world_get(&t->w, server, in + 1, 14), 14);
            assert_memory_equal(in, "GET /x HTTP/1.1", 15);
            world_put(&t->w, server, "HTTP/1.1 204 No\r\n\r\n", 19);
            assert_int_equal(world_get(&t->w, client, in, 12), 12);
            assert_memory_equal(in, "HTTP/1.1 204", 12);
            (void)close(server);
            (void)close(j.listener);
        }
        (void)close(client);
        pair_free(t);
    }
}

/* relay-only without a relay: it waits, and the cause is told. */
static void a_wish_for_a_path_is_kept(void **state)
{
    (void)state;
    struct addr at;
    char home[64];
    int listener = world_listen(&at);
    (void)snprintf(home, sizeof(home), "allow = 127.0.0.1:%u\n" NO_FRONT, (unsigned)at.port);
    struct pair_world *t = pair_new(home, FRONT);
    assert_int_equal(pair_rep(t, "home.peer", at.port), 0);
    t->laptop.app->ctx.times.connect = 200 * NS_PER_MS;
    assert_int_equal(-pair_ask_as(t, "+relay-only", "home.peer", at.port), SOCKS5_REP_FAILURE);
    assert_int_equal(t->home.app->ctx.counters.exit.requests, 1);
    assert_int_equal(t->laptop.app->ctx.counters.front.failures[CAUSE_PEER_UNREACHABLE], 1);
    int fd = pair_ask_as(t, "+direct-only", "home.peer", at.port);
    assert_true(fd >= 0);
    (void)close(fd);
    (void)close(listener);
    pair_free(t);
}

/* Bound to the relay, which works, while the direct path is in use: that the target says nothing is
 * the target's fault. */
static void a_silent_target_is_no_missing_path(void **state)
{
    (void)state;
    struct jam j;
    struct addr at, hub;
    char home[128], laptop[128];
    struct adit_relay *relay = NULL;
    const struct addr any = addr_ipv4(127, 0, 0, 1, 0);
    struct adit_relay_server_config config = {.listen = &any, .listen_count = 1, .open = true};
    int listener = world_listen(&at);
    jam_open(&j);
    adit_key_generate(config.secret);
    struct pair_world *t = pair_begin();
    assert_int_equal(adit_relay_start(&t->w.loop, &config, &relay), 0);
    assert_true(adit_relay_address(relay, 0, &hub));
    (void)snprintf(laptop, sizeof(laptop), FRONT "[relay hub]\nurl = http://127.0.0.1:%u\n",
                   (unsigned)hub.port);
    (void)snprintf(home, sizeof(home),
                   "allow = 127.0.0.1\n" NO_FRONT "[relay hub]\nurl = http://127.0.0.1:%u\n",
                   (unsigned)hub.port);
    pair_go(t, home, laptop);
    int fd = pair_ask_as(t, "+relay-only", "home.peer", at.port);
    assert_true(fd >= 0);
    (void)close(fd);
    struct adit_peer_stats s;
    WORLD_UNTIL(&t->w, app_peer_stats(t->laptop.app, 0, &s) && s.path.kind == ADIT_PATH_DIRECT);
    t->laptop.app->ctx.times.connect = 300 * NS_PER_MS;
    const uint64_t *failures = t->laptop.app->ctx.counters.front.failures;
    assert_int_equal(-pair_ask_as(t, "+relay-only", "home.peer", j.at.port),
                     SOCKS5_REP_TTL_EXPIRED);
    assert_int_equal(failures[CAUSE_TIMED_OUT], 1);
    assert_int_equal(failures[CAUSE_PEER_UNREACHABLE], 0);
    assert_true(app_peer_stats(t->laptop.app, 0, &s));
    assert_int_equal(s.path.kind, ADIT_PATH_DIRECT);
    jam_close(&j);
    (void)close(listener);
    int stopped = t->stopped;
    adit_relay_stop(relay, pair_on_stopped, &t->stopped);
    WORLD_UNTIL(&t->w, t->stopped > stopped);
    pair_free(t);
}

static void each_front_has_its_own_way(void **state)
{
    (void)state;
    struct addr at, other;
    char home[64];
    int listener = world_listen(&at);
    (void)snprintf(home, sizeof(home), "allow = 127.0.0.1:%u\n" NO_FRONT, (unsigned)at.port);
    struct pair_world *t =
        pair_new(home, FRONT "commands = bind\n"
                             "[front guests]\nlisten = 127.0.0.1:0\nexit = peer home\nchoose = no\n"
                             "[front relayed]\nlisten = 127.0.0.1:0\npath = relay-only\n"
                             "[peer office]\nkey = AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\n"
                             "[route]\n127.0.0.2 = refuse\n");
    assert_int_equal(pair_rep(t, "home.peer", at.port), SOCKS5_REP_NOT_ALLOWED); /* commands */
    assert_true(app_front_address(t->laptop.app, 1, &t->socks));
    assert_int_equal(pair_rep(t, "127.0.0.1", at.port), 0);
    assert_int_equal(pair_rep(t, "127.0.0.2", at.port), SOCKS5_REP_NOT_ALLOWED);
    /* Here a user name says nothing, and so is not even asked for. */
    int fd = world_connect(&t->socks);
    char in[2];
    world_put(&t->w, fd, "\x05\x02\x00\x02", 4);
    assert_int_equal(world_get(&t->w, fd, in, 2), 2);
    assert_memory_equal(in, "\x05\x00", 2);
    (void)close(fd);
    assert_true(app_front_address(t->laptop.app, 2, &other));
    t->socks = other;
    t->laptop.app->ctx.times.connect = 200 * NS_PER_MS;
    assert_int_equal(pair_rep(t, "home.peer", at.port), SOCKS5_REP_FAILURE);
    fd = pair_ask_as(t, "+any", "home.peer", at.port); /* the user's word counts */
    assert_true(fd >= 0);
    (void)close(fd);
    (void)close(listener);
    pair_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_service_is_reached_by_its_name),
        cmocka_unit_test(a_service_is_for_those_it_lists),
        cmocka_unit_test(a_service_may_be_a_unix_socket),
        cmocka_unit_test(a_service_lasts_as_long_as_its_asker),
        cmocka_unit_test(a_peer_does_not_come_in_at_our_front),
        cmocka_unit_test(the_user_name_chooses_the_exit),
        cmocka_unit_test(early_data_goes_along),
        cmocka_unit_test(a_restart_of_the_peer_is_not_the_clients_business),
        cmocka_unit_test(what_may_have_arrived_is_not_sent_twice),
        cmocka_unit_test(heads_of_plain_http_go_along),
        cmocka_unit_test(a_wish_for_a_path_is_kept),
        cmocka_unit_test(a_silent_target_is_no_missing_path),
        cmocka_unit_test(each_front_has_its_own_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
