/* Plain HTTP, CONNECT, passwords and unix sockets at the front, over real sockets. */
#include "app/client_internal.h"
#include "app/listener.h"

#include "unit/app/world.h"

#include <base/mem.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>

struct front_world {
    struct world w;
    struct context ctx;
    struct clients clients;
    struct listener *listener;
    struct config *config;
    struct auth auth;
    struct addr front;
};

static const char ini[] = "[node]\nname = here\n"
                          "[front]\nlisten = none\n"
                          "[route]\n127.0.0.0/8 = direct\ndefault = refuse\n";

static struct front_world *setup(const char *users, const struct config_listen *at,
                                 const struct target *target)
{
    struct front_world *f = mem_new(1, sizeof(*f));
    assert_non_null(f);
    const struct config_env env = {.state = "/nowhere"};
    const struct config_listen loopback = {.addr = addr_ipv4(127, 0, 0, 1, 0)};
    struct config_errors errors;
    assert_int_equal(config_parse(&f->config, "x.ini", ini, sizeof(ini) - 1, &env, &errors), 0);
    world_init(&f->w);
    f->ctx.loop = &f->w.loop;
    f->ctx.config = f->config;
    f->ctx.times = front_times_default;
    f->ctx.limits.clients_max = 8;
    if (users) {
        struct auth_error error;
        const uint8_t key[AUTH_KEY_LEN] = {7};
        assert_int_equal(auth_init(&f->auth, users, strlen(users), key, &error), 0);
        f->ctx.auth = &f->auth;
    }
    pool_init(&f->ctx.pool, 16);
    backoff_init(&f->ctx.backoff);
    clients_init(&f->clients, &f->ctx);
    assert_int_equal(listener_start(&f->clients, at ? at : &loopback, target, &f->listener), 0);
    f->front = listener_address(f->listener);
    return f;
}

static void on_unused(void *user)
{
    *(bool *)user = true;
}

static void teardown(struct front_world *f)
{
    bool unused = false;
    listener_stop(f->listener);
    clients_stop(&f->clients);
    tcp_break_all(&f->ctx.pool, on_unused, &unused);
    WORLD_UNTIL(&f->w, unused);
    world_deinit(&f->w);
    pool_deinit(&f->ctx.pool);
    auth_deinit(&f->auth);
    config_free(f->config);
    mem_free(f);
}

static void put(struct front_world *f, int fd, const char *text)
{
    world_put(&f->w, fd, text, strlen(text));
}

/* The next bytes are this text. */
static void get(struct front_world *f, int fd, const char *text)
{
    char in[4096];
    size_t len = strlen(text);
    ssize_t n = world_get(&f->w, fd, in, len);
    assert_int_equal(n, len);
    in[len] = '\0';
    assert_string_equal(in, text);
}

/* Everything until the end; the first line must start like this. */
static void get_page(struct front_world *f, int fd, const char *start)
{
    char in[4096];
    ssize_t n = world_get(&f->w, fd, in, sizeof(in) - 1);
    assert_true(n > 0);
    in[n] = '\0';
    if (strncmp(in, start, strlen(start)) != 0) {
        fail_msg("not \"%s\" but: %s", start, in);
    }
    (void)close(fd);
}

/* The text with the target's port in the place of its '$'. */
static void ask(struct front_world *f, int fd, const char *text, const struct addr *at)
{
    const char *mark = strchr(text, '$');
    char port[8];
    assert_non_null(mark);
    (void)snprintf(port, sizeof(port), "%u", (unsigned)at->port);
    world_put(&f->w, fd, text, (size_t)(mark - text));
    put(f, fd, port);
    put(f, fd, mark + 1);
}

static void get_head(struct front_world *f, int fd, const struct addr *at)
{
    char text[128];
    (void)snprintf(text, sizeof(text), "GET /x HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n",
                   (unsigned)at->port);
    get(f, fd, text);
}

#define GET_X "GET http://127.0.0.1:$/x HTTP/1.1\r\nHost: no\r\n\r\n"
#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define PASSED "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok"

static void requests_share_a_connection_on_both_sides(void **state)
{
    (void)state;
    struct front_world *f = setup(NULL, NULL, NULL);
    struct addr at;
    int listener = world_listen(&at);
    int client = world_connect(&f->front);
    ask(f, client, GET_X, &at);
    int server = world_accept(&f->w, listener);
    for (int i = 0; i < 3; i++) {
        get_head(f, server, &at);
        put(f, server, ANSWER);
        get(f, client, PASSED);
        if (i < 2) {
            ask(f, client, GET_X, &at);
        }
    }
    assert_int_equal(f->ctx.counters.front.http_requests, 3);
    assert_int_equal(f->ctx.counters.front.http_reused, 2);
    /* The server leaves; the next request dials anew, and the client does not notice. */
    (void)close(server);
    ask(f, client, GET_X, &at);
    server = world_accept(&f->w, listener);
    get_head(f, server, &at);
    put(f, server, ANSWER);
    get(f, client, PASSED);
    /* Another target: another connection; the old one is let go. */
    struct addr other;
    int second = world_listen(&other);
    ask(f, client, GET_X, &other);
    int server2 = world_accept(&f->w, second);
    get_head(f, server2, &other);
    (void)world_end(&f->w, server);
    put(f, server2, "HTTP/1.1 200 OK\r\n\r\nall");
    (void)close(server2);
    get(f, client, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall");
    assert_int_equal(world_end(&f->w, client), 0);
    (void)close(client);
    (void)close(server);
    (void)close(listener);
    (void)close(second);
    WORLD_UNTIL(&f->w, f->clients.count == 0);
    assert_int_equal(f->ctx.pool.used, 0);
    teardown(f);
}

static void requests_sent_ahead_are_answered_in_order(void **state)
{
    (void)state;
    struct front_world *f = setup(NULL, NULL, NULL);
    struct addr at;
    int listener = world_listen(&at);
    int client = world_connect(&f->front);
    ask(f, client, "POST http://127.0.0.1:$/x HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody", &at);
    ask(f, client, GET_X, &at);
    int server = world_accept(&f->w, listener);
    char text[128];
    (void)snprintf(text, sizeof(text),
                   "POST /x HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Length: 4\r\n\r\nbody",
                   (unsigned)at.port);
    get(f, server, text);
    put(f, server, ANSWER);
    get_head(f, server, &at);
    put(f, server, ANSWER);
    get(f, client, PASSED PASSED);
    (void)close(client);
    (void)close(server);
    (void)close(listener);
    teardown(f);
}

static void large_bodies_pass_both_ways(void **state)
{
    (void)state;
    enum { LEN = 8 << 20 };
    struct front_world *f = setup(NULL, NULL, NULL);
    struct addr at;
    char *data = malloc(LEN), *in = malloc(LEN);
    char text[256], head[512];
    assert_non_null(data);
    assert_non_null(in);
    for (size_t i = 0; i < LEN; i++) {
        data[i] = (char)(i * 31 + (i >> 13));
    }
    int listener = world_listen(&at);
    int client = world_connect(&f->front);
    (void)snprintf(text, sizeof(text),
                   "PUT http://127.0.0.1:%u/x HTTP/1.1\r\nContent-Length: %d\r\n\r\n",
                   (unsigned)at.port, LEN);
    put(f, client, text);
    int server = world_accept(&f->w, listener);
    size_t head_len = (size_t)snprintf(
        text, sizeof(text), "PUT /x HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Length: %d\r\n\r\n",
        (unsigned)at.port, LEN);
    assert_int_equal(world_get(&f->w, server, head, head_len), head_len);
    assert_memory_equal(head, text, head_len);
    for (size_t done = 0; done < LEN; done += LEN / 8) {
        world_put(&f->w, client, data + done, LEN / 8);
        assert_int_equal(world_get(&f->w, server, in + done, LEN / 8), LEN / 8);
    }
    assert_memory_equal(in, data, LEN);
    memset(in, 0, LEN);
    (void)snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", LEN);
    put(f, server, text);
    (void)snprintf(text, sizeof(text),
                   "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: keep-alive\r\n\r\n", LEN);
    get(f, client, text);
    for (size_t done = 0; done < LEN; done += LEN / 8) {
        world_put(&f->w, server, data + done, LEN / 8);
        assert_int_equal(world_get(&f->w, client, in + done, LEN / 8), LEN / 8);
    }
    assert_memory_equal(in, data, LEN);
    free(data);
    free(in);
    (void)close(client);
    (void)close(server);
    (void)close(listener);
    teardown(f);
}

static void an_upgrade_becomes_a_tunnel(void **state)
{
    (void)state;
    struct front_world *f = setup(NULL, NULL, NULL);
    struct addr at;
    char text[256];
    int listener = world_listen(&at);
    int client = world_connect(&f->front);
    ask(f, client,
        "GET http://127.0.0.1:$/x HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        &at);
    int server = world_accept(&f->w, listener);
    (void)snprintf(text, sizeof(text),
                   "GET /x HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
                   "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n",
                   (unsigned)at.port);
    get(f, server, text);
    put(f, client, "early");
    put(f, server,
        "HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfrom server");
    get(f, client,
        "HTTP/1.1 101 Yes\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nfrom server");
    get(f, server, "early");
    put(f, client, "GET http://other/ HTTP/1.1\r\n\r\n"); /* bytes now, and no request */
    get(f, server, "GET http://other/ HTTP/1.1\r\n\r\n");
    assert_int_equal(shutdown(server, SHUT_WR), 0);
    assert_int_equal(world_end(&f->w, client), 0);
    (void)close(client);
    (void)close(server);
    (void)close(listener);
    teardown(f);
}

static void failures_have_pages_and_cut_answers_are_reset(void **state)
{
    (void)state;
    struct front_world *f = setup(NULL, NULL, NULL);
    struct addr at, closed;
    int listener = world_listen(&at);
    int nobody = world_bind(&closed);
    int client = world_connect(&f->front);
    ask(f, client, GET_X, &closed);
    get_page(f, client, "HTTP/1.1 502 ");
    client = world_connect(&f->front);
    put(f, client, "GET http://10.1.2.3/ HTTP/1.1\r\n\r\n");
    get_page(f, client, "HTTP/1.1 403 ");
    client = world_connect(&f->front);
    put(f, client, "CONNECT nobody.peer:1 HTTP/1.1\r\n\r\n");
    get_page(f, client, "HTTP/1.1 502 ");
    for (int cut = 0; cut < 3; cut++) {
        static const char *const parts[] = {"", "HTTP/1.1 20",
                                            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no"};
        client = world_connect(&f->front);
        ask(f, client, GET_X, &at);
        int server = world_accept(&f->w, listener);
        get_head(f, server, &at);
        put(f, server, parts[cut]);
        (void)close(server);
        if (cut < 2) { /* nothing was passed on yet: it can be said */
            get_page(f, client, "HTTP/1.1 502 ");
        } else {
            char in[256];
            assert_int_equal(world_get(&f->w, client, in, sizeof(in)), -ECONNRESET);
            (void)close(client);
        }
    }
    WORLD_UNTIL(&f->w, f->clients.count == 0);
    (void)close(nobody);
    (void)close(listener);
    teardown(f);
}

static void clients_that_leave_take_the_request_along(void **state)
{
    (void)state;
    struct front_world *f = setup(NULL, NULL, NULL);
    struct addr at;
    int listener = world_listen(&at);
    int client = world_connect(&f->front);
    ask(f, client, GET_X, &at);
    int server = world_accept(&f->w, listener);
    get_head(f, server, &at);
    world_reset(client);
    assert_int_equal(world_end(&f->w, server), -ECONNRESET);
    (void)close(server);
    /* Half-closed behind the request: it still gets its answer. */
    client = world_connect(&f->front);
    ask(f, client, GET_X, &at);
    assert_int_equal(shutdown(client, SHUT_WR), 0);
    server = world_accept(&f->w, listener);
    get_head(f, server, &at);
    put(f, server, ANSWER);
    get(f, client, PASSED);
    assert_int_equal(world_end(&f->w, client), 0);
    (void)close(client);
    (void)close(server);
    (void)close(listener);
    WORLD_UNTIL(&f->w, f->clients.count == 0);
    teardown(f);
}

/* An answer whose last part is stuck in the front when it is done. */
enum { STUCK_LEN = 600000 };

static int start_stuck_answer(struct front_world *f, const struct addr *at)
{
    const int small = 4096;
    uv_os_fd_t fd;
    int client = world_connect(&f->front);
    assert_int_equal(setsockopt(client, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    WORLD_UNTIL(&f->w, f->clients.count == 1);
    assert_int_equal(uv_fileno(&LIST_FIRST(&f->clients.list)->tcp->uv.handle, &fd), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    ask(f, client, GET_X, at);
    return client;
}

static void get_stuck_answer(struct front_world *f, int client, int server, const char *connection)
{
    char head[128];
    char *data = malloc(STUCK_LEN);
    size_t got = 0;
    assert_non_null(data);
    memset(data, 'x', STUCK_LEN);
    put(f, server, "HTTP/1.1 200 OK\r\nContent-Length: 600000\r\n\r\n");
    world_put(&f->w, server, data, STUCK_LEN);
    (void)snprintf(head, sizeof(head),
                   "HTTP/1.1 200 OK\r\nContent-Length: 600000\r\nConnection: %s\r\n\r\n",
                   connection);
    get(f, client, head);
    while (f->ctx.counters.front.http_requests == 0) {
        assert_int_equal(world_get(&f->w, client, data, 1000), 1000);
        got += 1000;
        world_turn(&f->w);
    }
    assert_true(f->ctx.pool.used > 0); /* the last of it: neither here nor there */
    for (int i = 0; i < 20; i++) {
        world_turn(&f->w);
    }
    memset(data, 0, STUCK_LEN);
    assert_int_equal(world_get(&f->w, client, data, STUCK_LEN - got), STUCK_LEN - got);
    assert_int_equal(data[0], 'x');
    assert_int_equal(data[STUCK_LEN - got - 1], 'x');
    free(data);
}

/* What is still on its way to a client that says nothing more must not be thrown away. */
static void a_long_last_answer_reaches_a_half_closed_client(void **state)
{
    (void)state;
    struct front_world *f = setup(NULL, NULL, NULL);
    struct addr at;
    int listener = world_listen(&at);
    int client = start_stuck_answer(f, &at);
    assert_int_equal(shutdown(client, SHUT_WR), 0);
    int server = world_accept(&f->w, listener);
    get_head(f, server, &at);
    get_stuck_answer(f, client, server, "keep-alive");
    assert_int_equal(world_end(&f->w, client), 0);
    (void)close(server);
    (void)close(client);
    (void)close(listener);
    WORLD_UNTIL(&f->w, f->clients.count == 0);
    teardown(f);
}

static void what_follows_an_answer_waits_for_it(void **state)
{
    (void)state;
    static const char *const ahead[] = {"CONNECT 127.0.0.1:$ HTTP/1.1\r\n\r\n",
                                        "GET /x HTTP/1.1\r\nX: $\r\n\r\n"};
    static const char *const answers[] = {"HTTP/1.1 200 Connection established\r\n\r\n",
                                          "HTTP/1.1 404 "};
    for (size_t i = 0; i < 2; i++) {
        struct front_world *f = setup(NULL, NULL, NULL);
        struct addr at;
        int listener = world_listen(&at);
        int client = start_stuck_answer(f, &at);
        ask(f, client, ahead[i], &at);
        int server = world_accept(&f->w, listener);
        get_head(f, server, &at);
        get_stuck_answer(f, client, server, "keep-alive");
        get(f, client, answers[i]);
        (void)close(server);
        (void)close(client);
        (void)close(listener);
        WORLD_UNTIL(&f->w, f->clients.count == 0);
        teardown(f);
    }
}

static void http_connect_joins_both_sides(void **state)
{
    (void)state;
    struct front_world *f = setup(NULL, NULL, NULL);
    struct addr at;
    int listener = world_listen(&at);
    int client = world_connect(&f->front);
    ask(f, client, "CONNECT 127.0.0.1:$ HTTP/1.1\r\n\r\nearly", &at);
    int server = world_accept(&f->w, listener);
    get(f, server, "early");
    get(f, client, "HTTP/1.1 200 Connection established\r\n\r\n");
    put(f, server, "late");
    get(f, client, "late");
    (void)close(client);
    (void)close(server);
    (void)close(listener);
    teardown(f);
}

static void the_pac_file_is_given_to_who_asks_by_address(void **state)
{
    (void)state;
    struct front_world *f = setup(NULL, NULL, NULL);
    int client = world_connect(&f->front);
    put(f, client, "GET /proxy.pac HTTP/1.1\r\nHost: 127.0.0.1:1080\r\n\r\n");
    get_page(f, client, "HTTP/1.1 200 OK\r\nContent-Type: application/x-ns-proxy-autoconfig\r\n");
    client = world_connect(&f->front);
    put(f, client, "GET /proxy.pac HTTP/1.1\r\nHost: evil.example:1080\r\n\r\n");
    get_page(f, client, "HTTP/1.1 403 ");
    client = world_connect(&f->front);
    put(f, client, "GET /proxy.pac HTTP/1.1\r\n\r\n");
    get_page(f, client, "HTTP/1.1 403 ");
    teardown(f);
}

#define LOGIN "Proxy-Authorization: Basic YW5uOm9uZQ==\r\n\r\n" /* ann:one */
#define WRONG "Proxy-Authorization: Basic YW5uOnR3bw==\r\n\r\n" /* ann:two */

static void passwords_are_asked_for(void **state)
{
    (void)state;
    struct front_world *f = setup("ann:one\n", NULL, NULL);
    struct addr at;
    int listener = world_listen(&at);
    int client = world_connect(&f->front);
    ask(f, client, "CONNECT 127.0.0.1:$ HTTP/1.1\r\n\r\n", &at);
    get_page(f, client, "HTTP/1.1 407 ");
    assert_int_equal(f->ctx.counters.front.bad_logins, 1);
    client = world_connect(&f->front);
    ask(f, client, "CONNECT 127.0.0.1:$ HTTP/1.1\r\n" LOGIN, &at);
    get(f, client, "HTTP/1.1 200 ");
    (void)close(client);
    client = world_connect(&f->front);
    put(f, client, "\x05\x02");
    world_put(&f->w, client, "\x00\x02\x01\x03", 4);
    put(f, client, "ann\x03one");
    world_put(&f->w, client, "\x05\x01\x00\x01\x7f\x00\x00\x01", 8);
    const uint8_t port[] = {(uint8_t)(at.port >> 8), (uint8_t)at.port};
    world_put(&f->w, client, port, 2);
    char in[8];
    assert_int_equal(world_get(&f->w, client, in, 6), 6);
    assert_memory_equal(in, "\x05\x02\x01\x00\x05\x00", 6);
    (void)close(client);
    client = world_connect(&f->front); /* SOCKS5 without */
    world_put(&f->w, client, "\x05\x01\x00", 3);
    assert_int_equal(world_get(&f->w, client, in, 2), 2);
    assert_memory_equal(in, "\x05\xff", 2);
    assert_int_equal(world_end(&f->w, client), 0);
    (void)close(client);
    /* Guessing: after a while not even the right one is looked at. */
    for (int i = 0; i < BACKOFF_FREE + 1; i++) {
        client = world_connect(&f->front);
        ask(f, client, "CONNECT 127.0.0.1:$ HTTP/1.1\r\n" WRONG, &at);
        get_page(f, client, "HTTP/1.1 407 ");
    }
    assert_int_equal(f->ctx.counters.front.held_off, 0);
    client = world_connect(&f->front);
    ask(f, client, "CONNECT 127.0.0.1:$ HTTP/1.1\r\n" LOGIN, &at);
    get_page(f, client, "HTTP/1.1 407 ");
    assert_int_equal(f->ctx.counters.front.held_off, 1);
    (void)close(listener);
    teardown(f);
}

static void unix_sockets_are_the_users_own(void **state)
{
    (void)state;
    char folder[] = "/tmp/adit-front-XXXXXX";
    struct config_listen here = {.addr = {.family = ADDR_NONE}};
    struct stat st;
    struct addr at;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(here.path, sizeof(here.path), "%s/front", folder);
    struct front_world *f = setup("ann:one\n", &here, NULL);
    assert_int_equal(stat(here.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    int listener = world_listen(&at);
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    (void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", here.path);
    int client = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(fcntl(client, F_SETFL, O_NONBLOCK), 0);
    ask(f, client, GET_X, &at); /* and no password is asked for */
    int server = world_accept(&f->w, listener);
    get_head(f, server, &at);
    put(f, server, ANSWER);
    get(f, client, PASSED);
    (void)close(client);
    (void)close(server);
    (void)close(listener);
    teardown(f);
    assert_int_equal(stat(here.path, &st), -1);
    assert_int_equal(rmdir(folder), 0);
}

static void forwarded_ports_lead_to_their_target(void **state)
{
    (void)state;
    struct target to;
    struct addr at;
    int listener = world_listen(&at);
    target_set_addr(&to, &at);
    struct front_world *f = setup("ann:one\n", NULL, &to);
    int client = world_connect(&f->front);
    int server = world_accept(&f->w, listener); /* before the client said a word */
    put(f, server, "SSH-2.0");
    get(f, client, "SSH-2.0");
    put(f, client, "me too");
    get(f, server, "me too");
    (void)close(client);
    (void)close(server);
    (void)close(listener);
    client = world_connect(&f->front); /* nobody is there any more */
    char in[8];
    assert_int_equal(world_get(&f->w, client, in, 1), -ECONNRESET);
    (void)close(client);
    teardown(f);
}

static bool hang_up(int listener)
{
    int server = accept(listener, NULL, NULL);
    if (server >= 0) {
        (void)close(server);
    }
    return server >= 0;
}

static void memory_that_ends_leaks_nothing(void **state)
{
    (void)state;
    struct front_world *f = setup(NULL, NULL, NULL);
    struct addr at;
    int listener = world_listen(&at);
    for (size_t n = 1; n < 10; n++) {
        char in[64];
        int client = world_connect(&f->front);
        WORLD_UNTIL(&f->w, f->clients.count == 1);
        mem_fail_after(n);
        ask(f, client, GET_X, &at);
        assert_int_equal(shutdown(client, SHUT_WR), 0);
        /* An answer or an end; the target hangs up on everybody. */
        WORLD_UNTIL(&f->w, !hang_up(listener) &&
                               (recv(client, in, sizeof(in), 0) >= 0 || errno == ECONNRESET));
        mem_fail_after(0);
        (void)close(client);
        WORLD_UNTIL(&f->w, f->clients.count == 0);
    }
    (void)close(listener);
    teardown(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_share_a_connection_on_both_sides),
        cmocka_unit_test(requests_sent_ahead_are_answered_in_order),
        cmocka_unit_test(large_bodies_pass_both_ways),
        cmocka_unit_test(an_upgrade_becomes_a_tunnel),
        cmocka_unit_test(failures_have_pages_and_cut_answers_are_reset),
        cmocka_unit_test(clients_that_leave_take_the_request_along),
        cmocka_unit_test(a_long_last_answer_reaches_a_half_closed_client),
        cmocka_unit_test(what_follows_an_answer_waits_for_it),
        cmocka_unit_test(http_connect_joins_both_sides),
        cmocka_unit_test(the_pac_file_is_given_to_who_asks_by_address),
        cmocka_unit_test(passwords_are_asked_for),
        cmocka_unit_test(unix_sockets_are_the_users_own),
        cmocka_unit_test(forwarded_ports_lead_to_their_target),
        cmocka_unit_test(memory_that_ends_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
