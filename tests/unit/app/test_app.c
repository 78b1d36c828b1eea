/* Two nodes in one process, a direct path between them: front, tunnel, exit and control socket. */
#include "unit/app/two.h"

#include <sys/stat.h>
#include <sys/un.h>

#define ALL_TO_HOME "[route]\ndefault = peer home\n"

/* `port` is what home lets laptop reach on its loopback. */
static struct two *two_with(uint16_t port)
{
    char allow[64];
    (void)snprintf(allow, sizeof(allow), "allow = 127.0.0.1:%u\n", (unsigned)port);
    return setup(allow, ALL_TO_HOME);
}

struct pair {
    int client, server;
};

static struct pair connect_pair(struct two *t, int listener, uint16_t port)
{
    struct pair p;
    p.client = world_ask(&t->w, &t->socks, "home.peer", port);
    p.server = world_accept(&t->w, listener);
    assert_int_equal(world_rep(&t->w, p.client), 0);
    return p;
}

static void close_pair(struct pair *p)
{
    (void)close(p->client);
    (void)close(p->server);
}

static void half_close_goes_each_way_through_the_tunnel(void **state)
{
    (void)state;
    struct addr at;
    int listener = world_listen(&at);
    struct two *t = two_with(at.port);
    for (int server_first = 0; server_first < 2; server_first++) {
        struct pair p = connect_pair(t, listener, at.port);
        int first = server_first ? p.server : p.client;
        int second = server_first ? p.client : p.server;
        char in[8] = "";
        world_put(&t->w, first, "ping", 4);
        assert_int_equal(shutdown(first, SHUT_WR), 0);
        assert_int_equal(world_get(&t->w, second, in, sizeof(in)), 4);
        world_put(&t->w, second, "pong", 4);
        assert_int_equal(world_get(&t->w, first, in, 4), 4);
        assert_memory_equal(in, "pong", 4);
        assert_int_equal(shutdown(second, SHUT_WR), 0);
        assert_int_equal(world_end(&t->w, first), 0);
        close_pair(&p);
    }
    WORLD_UNTIL(&t->w, t->laptop.app->clients.count == 0 && t->home.app->exits.count == 0);
    struct adit_peer_stats s;
    WORLD_UNTIL(&t->w, app_peer_stats(t->laptop.app, 0, &s) && s.streams == 0);
    assert_int_equal(s.path.kind, ADIT_PATH_DIRECT); /* the path, not just the bytes */
    (void)close(listener);
    teardown(t);
}

static void resets_go_through_the_tunnel(void **state)
{
    (void)state;
    struct addr at;
    int listener = world_listen(&at);
    struct two *t = two_with(at.port);
    struct pair p = connect_pair(t, listener, at.port);
    world_reset(p.server);
    assert_int_equal(world_end(&t->w, p.client), -ECONNRESET);
    (void)close(p.client);
    p = connect_pair(t, listener, at.port);
    world_reset(p.client);
    assert_int_equal(world_end(&t->w, p.server), -ECONNRESET);
    (void)close(p.server);
    (void)close(listener);
    teardown(t);
}

static unsigned rep_of(struct two *t, const char *host, uint16_t port)
{
    int client = world_ask(&t->w, &t->socks, host, port);
    unsigned rep = world_rep(&t->w, client);
    assert_int_equal(world_end(&t->w, client), 0);
    (void)close(client);
    return rep;
}

static void the_exit_says_why(void **state)
{
    (void)state;
    struct addr closed, other;
    int fd = world_bind(&closed);
    int listener = world_listen(&other);
    struct two *t = two_with(closed.port);
    assert_int_equal(rep_of(t, "home.peer", closed.port), SOCKS5_REP_REFUSED);
    assert_int_equal(rep_of(t, "127.0.0.1", closed.port), SOCKS5_REP_REFUSED);
    assert_int_equal(rep_of(t, "home.peer", other.port), SOCKS5_REP_NOT_ALLOWED);
    assert_int_equal(rep_of(t, "0.0.0.0", other.port), SOCKS5_REP_NOT_ALLOWED);
    assert_int_equal(rep_of(t, "127.0.0.2", closed.port), SOCKS5_REP_NOT_ALLOWED);
    assert_int_equal(rep_of(t, "nobody.peer", 80), SOCKS5_REP_HOST_UNREACHABLE);
    const struct context_counters *n = &t->home.app->ctx.counters;
    assert_int_equal(n->exit.requests, 5);
    assert_int_equal(n->exit.failures[CAUSE_REFUSED], 2);
    assert_int_equal(n->exit.failures[CAUSE_NOT_ALLOWED], 3);
    assert_int_equal(t->laptop.app->ctx.counters.front.failures[CAUSE_NOT_ALLOWED], 3);
    assert_int_equal(t->home.app->exits.dialling, 0);
    (void)close(fd);
    (void)close(listener);
    teardown(t);
}

static void past_its_ceiling_the_exit_refuses(void **state)
{
    (void)state;
    struct addr at;
    int listener = world_listen(&at);
    struct two *t = two_with(at.port);
    t->home.app->ctx.limits.exit_max = 1;
    struct pair p = connect_pair(t, listener, at.port);
    assert_int_equal(rep_of(t, "home.peer", at.port), SOCKS5_REP_FAILURE);
    assert_int_equal(t->home.app->ctx.counters.exit.failures[CAUSE_LIMIT], 1);
    close_pair(&p);
    (void)close(listener);
    teardown(t);
}

static void slow_reader_holds_the_sender_through_the_tunnel(void **state)
{
    (void)state;
    enum { LEN = 128 << 20, STUCK_MS = 300 };
    struct addr at;
    int listener = world_listen(&at);
    struct two *t = two_with(at.port);
    uint8_t *data = malloc(LEN);
    uint8_t *in = malloc(LEN);
    assert_non_null(data);
    assert_non_null(in);
    for (size_t i = 0; i < LEN; i++) {
        data[i] = (uint8_t)(i * 31 + (i >> 13));
    }
    struct pair p = connect_pair(t, listener, at.port);
    size_t sent = 0;
    uint64_t last = uv_now(&t->w.loop);
    while (sent < LEN && uv_now(&t->w.loop) - last < STUCK_MS) {
        ssize_t n = send(p.server, data + sent, LEN - sent, MSG_NOSIGNAL);
        if (n > 0) {
            sent += (size_t)n;
            last = uv_now(&t->w.loop);
        }
        world_turn(&t->w);
    }
    assert_true(sent < LEN); /* the windows and the sockets' buffers, not more */
    assert_true(t->laptop.app->ctx.pool.used <= 1);
    assert_int_equal(world_get(&t->w, p.client, in, sent), sent);
    assert_memory_equal(in, data, sent);
    close_pair(&p);
    (void)close(listener);
    free(data);
    free(in);
    teardown(t);
}

static void a_peer_that_stops_resets_and_can_come_back(void **state)
{
    (void)state;
    struct addr at;
    int listener = world_listen(&at);
    struct two *t = two_with(at.port);
    struct pair p = connect_pair(t, listener, at.port);
    stop_node(t, &t->laptop);
    assert_int_equal(world_end(&t->w, p.client), -ECONNRESET);
    assert_int_equal(world_end(&t->w, p.server), -ECONNRESET);
    close_pair(&p);
    WORLD_UNTIL(&t->w, t->stopped == 1 && t->home.app->exits.count == 0);
    config_free(t->laptop.config);
    start_laptop(t, ALL_TO_HOME);
    p = connect_pair(t, listener, at.port);
    close_pair(&p);
    (void)close(listener);
    teardown(t);
}

static void without_a_path_the_front_gives_up(void **state)
{
    (void)state;
    struct two *t = two_with(1);
    stop_node(t, &t->home);
    WORLD_UNTIL(&t->w, t->stopped == 1);
    t->laptop.app->ctx.times.connect = 50 * NS_PER_MS;
    assert_int_equal(rep_of(t, "home.peer", 80), SOCKS5_REP_FAILURE);
    const uint64_t *failures = t->laptop.app->ctx.counters.front.failures;
    assert_int_equal(failures[CAUSE_PEER_UNREACHABLE] + failures[CAUSE_PEER_CLOSED], 1);
    teardown(t);
}

/* Whatever allocation fails, a start fails whole: nothing leaks, nothing keeps the loop alive. */
static void a_start_without_memory_fails_whole(void **state)
{
    (void)state;
    enum { STARTS_MAX = 1000 };
    struct two *t = two_with(1);
    stop_node(t, &t->laptop);
    WORLD_UNTIL(&t->w, t->stopped == 1);
    size_t n = 0;
    int err = -1;
    while (err != 0 && n < STARTS_MAX) {
        mem_fail_after(++n);
        err = app_start(&t->w.loop, t->laptop.config, &t->laptop.secrets, NULL, &t->laptop.app);
        mem_fail_after(0);
        world_turn(&t->w);
        world_turn(&t->w);
    }
    assert_int_equal(err, 0);
    assert_true(n > 5); /* it does allocate */
    t->started++;
    teardown(t);
}

/* --- the control socket ---------------------------------------------------------------------- */

static int ask_control(struct two *t, const char *request, char *answer, size_t cap)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    (void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/laptop.sock", t->folder);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    world_put(&t->w, fd, request, strlen(request));
    ssize_t n = world_get(&t->w, fd, answer, cap - 1);
    assert_true(n > 0);
    answer[n] = '\0';
    (void)close(fd);
    return (int)strtol(answer + strlen("HTTP/1.1 "), NULL, 10);
}

static void control_answers_its_user_only(void **state)
{
    (void)state;
    struct two *t = two_with(1);
    static char answer[65536];
    assert_int_equal(
        ask_control(t, "GET /status HTTP/1.1\r\nHost: x\r\n\r\n", answer, sizeof(answer)), 200);
    assert_non_null(strstr(answer, "\"home\""));
    assert_non_null(strstr(answer, "\"packets_in\""));
    assert_int_equal(ask_control(t, "GET / HTTP/1.1\r\n\r\n", answer, sizeof(answer)), 404);
    assert_int_equal(ask_control(t, "POST /status HTTP/1.1\r\n\r\n", answer, sizeof(answer)), 405);
    assert_int_equal(ask_control(t, "\x05\x01\x00", answer, sizeof(answer)), 400);
    struct stat st;
    char path[64];
    (void)snprintf(path, sizeof(path), "%s/laptop.sock", t->folder);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    teardown(t);
}

static void without_memory_control_listens_on(void **state)
{
    (void)state;
    struct two *t = two_with(1);
    char path[64], answer[4096];
    (void)snprintf(path, sizeof(path), "%s/laptop.sock", t->folder);
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    (void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    mem_fail_after(1);
    ssize_t ended = world_end(&t->w, fd);
    mem_fail_after(0);
    assert_true(ended <= 0);
    (void)close(fd);
    assert_int_equal(ask_control(t, "GET /status HTTP/1.1\r\n\r\n", answer, sizeof(answer)), 200);
    teardown(t);
}

static void control_answers_about_peers_and_targets(void **state)
{
    (void)state;
    struct two *t = two_with(1);
    static char answer[65536];
    assert_int_equal(ask_control(t, "GET /ping/HOME HTTP/1.1\r\n\r\n", answer, sizeof(answer)),
                     200);
    assert_non_null(strstr(answer, "\"rtt_us\""));
    assert_non_null(strstr(answer, "\"direct\""));
    assert_int_equal(ask_control(t, "GET /why/home HTTP/1.1\r\n\r\n", answer, sizeof(answer)), 200);
    assert_non_null(strstr(answer, "\"our_candidates\""));
    assert_int_equal(
        ask_control(t, "GET /route/home.peer:80 HTTP/1.1\r\n\r\n", answer, sizeof(answer)), 200);
    assert_non_null(strstr(answer, "localhost:80"));
    static const struct {
        const char *request;
        int status;
    } bad[] = {
        {"GET /ping/nobody HTTP/1.1\r\n\r\n", 404}, {"GET /ping/ HTTP/1.1\r\n\r\n", 404},
        {"GET /why/nobody HTTP/1.1\r\n\r\n", 404},  {"POST /ping/home HTTP/1.1\r\n\r\n", 405},
        {"GET /route/home HTTP/1.1\r\n\r\n", 400},  {"GET /statusx HTTP/1.1\r\n\r\n", 404},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(ask_control(t, bad[i].request, answer, sizeof(answer)), bad[i].status);
    }
    teardown(t);
}

/* The asker goes, or the node, before there is an answer. */
static void a_ping_may_be_left_alone(void **state)
{
    (void)state;
    struct two *t = two_with(1);
    stop_node(t, &t->home);
    WORLD_UNTIL(&t->w, t->stopped == 1);
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    (void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/laptop.sock", t->folder);
    static const char request[] = "GET /ping/home HTTP/1.1\r\n\r\n";
    int fd[2];
    for (size_t i = 0; i < 2; i++) {
        fd[i] = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_int_equal(fcntl(fd[i], F_SETFL, O_NONBLOCK), 0);
        assert_int_equal(connect(fd[i], (struct sockaddr *)&sa, sizeof(sa)), 0);
        world_put(&t->w, fd[i], request, strlen(request));
        WORLD_UNTIL(&t->w, !LIST_EMPTY(&t->laptop.app->pings));
        if (i == 0) {
            (void)close(fd[i]);
            WORLD_UNTIL(&t->w, LIST_EMPTY(&t->laptop.app->pings));
        }
    }
    teardown(t);
    (void)close(fd[1]);
}

static void a_peer_is_measured_if_it_lets_itself(void **state)
{
    (void)state;
    struct two *t = two_with(1);
    static char answer[65536];
    static const char *const ways[] = {"up", "down"};
    char request[128];
    assert_int_equal(
        ask_control(t, "GET /bench/home/up/1/any HTTP/1.1\r\n\r\n", answer, sizeof(answer)), 502);
    assert_non_null(strstr(answer, "bench = yes"));
    t->home.config->node.bench = true;
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(request, sizeof(request), "GET /bench/home/%s/1/direct HTTP/1.1\r\n\r\n",
                       ways[i]);
        assert_int_equal(ask_control(t, request, answer, sizeof(answer)), 200);
        const char *bytes = strstr(answer, "\"bytes\":");
        assert_non_null(bytes);
        assert_true(strtoull(bytes + 8, NULL, 10) > 100000);
        assert_non_null(strstr(answer, "\"direct\""));
    }
    static const char *const bad[] = {"nobody/up/1/any", "home/up/0/any",  "home/up/11/any",
                                      "home/on/1/any",   "home/up/1/west", "home"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        (void)snprintf(request, sizeof(request), "GET /bench/%s HTTP/1.1\r\n\r\n", bad[i]);
        assert_int_equal(ask_control(t, request, answer, sizeof(answer)), i == 0 ? 404 : 400);
    }
    WORLD_UNTIL(&t->w, t->home.app->benches.count == 0);
    assert_int_equal(t->laptop.app->benches.count, 0);
    teardown(t);
}

/* The asker leaves in the middle; then a node stops in the middle. */
static void a_measurement_may_be_left_alone(void **state)
{
    (void)state;
    struct two *t = two_with(1);
    t->home.config->node.bench = true;
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    (void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/laptop.sock", t->folder);
    static const char *const requests[] = {"GET /bench/home/up/9/any HTTP/1.1\r\n\r\n",
                                           "GET /bench/home/down/9/any HTTP/1.1\r\n\r\n"};
    int fd[2];
    for (size_t i = 0; i < 2; i++) {
        fd[i] = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_int_equal(fcntl(fd[i], F_SETFL, O_NONBLOCK), 0);
        assert_int_equal(connect(fd[i], (struct sockaddr *)&sa, sizeof(sa)), 0);
        world_put(&t->w, fd[i], requests[i], strlen(requests[i]));
        WORLD_UNTIL(&t->w, t->home.app->benches.count == 1);
        if (i == 0) {
            (void)close(fd[i]);
            WORLD_UNTIL(&t->w, t->home.app->benches.count + t->laptop.app->benches.count == 0);
        }
    }
    teardown(t);
    (void)close(fd[1]);
}

static void one_control_socket_is_for_one_node(void **state)
{
    (void)state;
    struct two *t = two_with(1);
    struct app *second = NULL;
    assert_int_equal(app_start(&t->w.loop, t->laptop.config, &t->laptop.secrets, NULL, &second),
                     UV_EADDRINUSE);
    assert_null(second);
    /* The first still answers. */
    static char answer[65536];
    assert_int_equal(ask_control(t, "GET /status HTTP/1.1\r\n\r\n", answer, sizeof(answer)), 200);
    teardown(t);
}

static void a_dead_nodes_socket_is_replaced(void **state)
{
    (void)state;
    struct two *t = two_with(1);
    stop_node(t, &t->laptop);
    WORLD_UNTIL(&t->w, t->stopped == 1);
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    (void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/laptop.sock", t->folder);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    (void)close(fd); /* the file stays, as after kill -9 */
    config_free(t->laptop.config);
    start_laptop(t, ALL_TO_HOME);
    static char answer[65536];
    assert_int_equal(ask_control(t, "GET /status HTTP/1.1\r\n\r\n", answer, sizeof(answer)), 200);
    teardown(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_close_goes_each_way_through_the_tunnel),
        cmocka_unit_test(resets_go_through_the_tunnel),
        cmocka_unit_test(the_exit_says_why),
        cmocka_unit_test(past_its_ceiling_the_exit_refuses),
        cmocka_unit_test(slow_reader_holds_the_sender_through_the_tunnel),
        cmocka_unit_test(a_peer_that_stops_resets_and_can_come_back),
        cmocka_unit_test(without_a_path_the_front_gives_up),
        cmocka_unit_test(a_start_without_memory_fails_whole),
        cmocka_unit_test(control_answers_its_user_only),
        cmocka_unit_test(without_memory_control_listens_on),
        cmocka_unit_test(control_answers_about_peers_and_targets),
        cmocka_unit_test(a_ping_may_be_left_alone),
        cmocka_unit_test(a_peer_is_measured_if_it_lets_itself),
        cmocka_unit_test(a_measurement_may_be_left_alone),
        cmocka_unit_test(one_control_socket_is_for_one_node),
        cmocka_unit_test(a_dead_nodes_socket_is_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
