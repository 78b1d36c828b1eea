/* Plain HTTP and CONNECT at the front, over real sockets. */
#include "unit/app/front_world.h"

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
enum { STUCK_LEN = 100000 };

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
    put(f, server, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
    world_put(&f->w, server, data, STUCK_LEN);
    (void)snprintf(head, sizeof(head),
                   "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nConnection: %s\r\n\r\n",
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
        cmocka_unit_test(memory_that_ends_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
