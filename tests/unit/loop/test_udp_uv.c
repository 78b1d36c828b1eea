#include "loop/udp_uv.h"

#include "os/sockaddr.h"
#include "os/udp_ops.h"

#include <base/err.h>
#include <base/mem.h>
#include <base/rng.h>

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { DEADLINE_MS = 10000 };

/* One end and what it was told. */
struct end {
    struct udp_uv *u;
    struct addr local;
    uint8_t data[65536];
    size_t len;
    unsigned batches;
    unsigned writable;
    int error;
    unsigned errors;
    uint64_t last_now;
    size_t want; /* stops the loop when so many bytes have come */
    bool close_in_batch;
    bool stop_when_writable;
};

static uv_loop_t loop;
static struct end a;
static struct end b;
static const struct addr loopback = {.family = ADDR_IPV4, .ip = {127, 0, 0, 1}};

static void on_batch(void *user, struct udp_batch *batch, uint64_t now)
{
    struct end *e = user;
    struct udp_datagram d;
    e->batches++;
    e->last_now = now;
    while (udp_batch_next(batch, &d)) {
        assert_true(e->len + d.len <= sizeof(e->data));
        memcpy(e->data + e->len, d.data, d.len);
        e->len += d.len;
    }
    if (e->close_in_batch) {
        udp_uv_close(e->u);
    }
    if (e->len >= e->want) {
        uv_stop(&loop);
    }
}

static void on_writable(void *user, uint64_t now)
{
    struct end *e = user;
    e->writable++;
    e->last_now = now;
    if (e->stop_when_writable) {
        uv_stop(&loop);
    }
}

static void on_error(void *user, int err, uint64_t now)
{
    struct end *e = user;
    (void)now;
    e->errors++;
    e->error = err;
    uv_stop(&loop);
}

static const struct udp_uv_callbacks callbacks = {on_batch, on_writable, on_error};

static void end_open(struct end *e, const struct udp_ops *ops, struct udp_batch *batch)
{
    struct udp_options options = {.bind = &loopback, .offload = true, .ops = ops};
    memset(e, 0, sizeof(*e));
    assert_int_equal(udp_uv_open(&loop, &options, batch, &callbacks, e, &e->u), 0);
    assert_int_equal(udp_uv_local(e->u, &e->local), 0);
}

static void on_deadline(uv_timer_t *timer)
{
    timer->data = NULL;
    uv_stop(&loop);
}

/* Runs until a callback stops the loop, or nothing is left that could; false if time ran out. */
static bool run_in_time(bool keep_alive)
{
    uv_timer_t deadline;
    (void)uv_timer_init(&loop, &deadline);
    deadline.data = &loop;
    (void)uv_timer_start(&deadline, on_deadline, DEADLINE_MS, 0);
    if (!keep_alive) {
        uv_unref((uv_handle_t *)&deadline);
    }
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    bool in_time = deadline.data != NULL;
    uv_close((uv_handle_t *)&deadline, NULL);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
    return in_time;
}

/* Runs until a callback stops the loop. */
static void run(void)
{
    assert_true(run_in_time(true));
}

static int open_loop(void **state)
{
    (void)state;
    return uv_loop_init(&loop);
}

/* Everything that a test opened must be closed by then. */
static int close_loop(void **state)
{
    (void)state;
    return run_in_time(false) ? uv_loop_close(&loop) : -1;
}

static void fill(uint8_t *data, size_t len)
{
    struct pcg pcg;
    rng_fill(pcg_rng(&pcg, 7), data, len);
}

static void delivers_batches(void **state)
{
    (void)state;
    static uint8_t data[64000];
    size_t sent = 0;
    fill(data, sizeof(data));
    end_open(&a, NULL, NULL);
    end_open(&b, NULL, NULL);
    b.want = sizeof(data);
    assert_int_equal(udp_uv_send(a.u, &b.local, data, sizeof(data), 1000, &sent), 0);
    assert_int_equal(sent, sizeof(data));
    run();
    assert_int_equal(b.len, sizeof(data));
    assert_memory_equal(b.data, data, sizeof(data));
    assert_int_equal(udp_uv_socket(b.u)->stats.datagrams_in, 64);
    assert_int_equal(a.batches + a.writable + b.writable, 0);
    udp_uv_close(a.u);
    udp_uv_close(b.u);
}

static void catches_up_without_the_loop(void **state)
{
    (void)state;
    end_open(&a, NULL, NULL);
    end_open(&b, NULL, NULL);
    b.want = SIZE_MAX;
    udp_uv_catch_up(b.u, 5);
    assert_int_equal(b.batches, 0);
    assert_int_equal(udp_uv_send(a.u, &b.local, (const uint8_t *)"late", 4, 0, NULL), 0);
    udp_uv_catch_up(b.u, 7);
    assert_int_equal(b.batches, 1);
    assert_int_equal(b.last_now, 7);
    assert_memory_equal(b.data, "late", 4);
    udp_uv_close(a.u);
    udp_uv_close(b.u);
}

static void shares_one_batch_among_sockets(void **state)
{
    (void)state;
    struct udp_batch batch;
    assert_int_equal(udp_batch_init(&batch), 0);
    end_open(&a, NULL, &batch);
    end_open(&b, NULL, &batch);
    a.want = b.want = 5;
    assert_int_equal(udp_uv_send(a.u, &b.local, (const uint8_t *)"to b.", 5, 0, NULL), 0);
    assert_int_equal(udp_uv_send(b.u, &a.local, (const uint8_t *)"to a.", 5, 0, NULL), 0);
    run();
    if (a.len == 0 || b.len == 0) {
        run();
    }
    assert_memory_equal(b.data, "to b.", 5);
    assert_memory_equal(a.data, "to a.", 5);
    udp_uv_close(a.u);
    udp_uv_close(b.u);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    udp_batch_deinit(&batch);
}

static void closes_from_within_a_batch(void **state)
{
    (void)state;
    end_open(&a, NULL, NULL);
    end_open(&b, NULL, NULL);
    b.close_in_batch = true;
    for (size_t i = 0; i < UDP_BATCH_MESSAGES + 1; i++) {
        assert_int_equal(udp_uv_send(a.u, &b.local, a.data, 100 + i, 0, NULL), 0);
    }
    run();
    assert_int_equal(b.batches, 1); /* the rest was not delivered any more */
    udp_uv_close(a.u);
}

/* --- a system that does what it is told --------------------------------------------------------
 */

static const struct udp_ops *real_ops(void)
{
    struct udp_socket s;
    struct udp_options options = {.bind = &loopback};
    assert_int_equal(udp_open(&s, &options), 0);
    udp_close(&s);
    return s.ops;
}

static int blocked_send(struct udp_socket *s, const struct udp_chunk *c, size_t *sent)
{
    (void)s;
    *sent = c->len > 3 ? 3 : 0;
    return -EAGAIN;
}

static int endless_receive(struct udp_socket *s, struct udp_batch *batch)
{
    (void)s;
    batch->messages[0] = (struct udp_message){loopback, batch->buffer, 1, 1, 0};
    batch->count = batch->datagrams = 1;
    batch->more = true;
    return 0;
}

static int broken_receive(struct udp_socket *s, struct udp_batch *batch)
{
    (void)s;
    (void)batch;
    return -EBADF;
}

static void tells_once_when_there_is_room_again(void **state)
{
    (void)state;
    struct udp_ops ops = *real_ops();
    size_t sent = 0;
    ops.send = blocked_send;
    end_open(&a, &ops, NULL);
    a.stop_when_writable = true;
    (void)uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(a.writable, 0); /* nobody waits */
    assert_int_equal(udp_uv_send(a.u, &loopback, a.data, 9, 3, &sent), -EAGAIN);
    assert_int_equal(sent, 3);
    assert_int_equal(udp_uv_send(a.u, &loopback, a.data, 9, 3, NULL), -EAGAIN);
    run();
    assert_int_equal(a.writable, 1);
    assert_true(a.last_now > 0);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(a.writable, 1);
    assert_int_equal(udp_uv_send(a.u, &loopback, a.data, 9, 3, NULL), -EAGAIN);
    run();
    assert_int_equal(a.writable, 2);
    udp_uv_close(a.u);
}

static void bounds_the_batches_of_one_round(void **state)
{
    (void)state;
    struct udp_ops ops = *real_ops();
    ops.receive = endless_receive;
    end_open(&a, NULL, NULL);
    end_open(&b, &ops, NULL);
    b.want = SIZE_MAX;
    assert_int_equal(udp_uv_send(a.u, &b.local, a.data, 1, 0, NULL), 0);
    (void)uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(b.batches, UDP_UV_ROUND_BATCHES);
    udp_uv_close(a.u);
    udp_uv_close(b.u);
}

static uint64_t nows[UDP_UV_ROUND_BATCHES];

static void note_now(void *user, struct udp_batch *batch, uint64_t now)
{
    struct end *e = user;
    (void)batch;
    nows[e->batches++ % UDP_UV_ROUND_BATCHES] = now;
}

static void reads_the_clock_once_a_round(void **state)
{
    (void)state;
    static const struct udp_uv_callbacks noting = {note_now, on_writable, NULL};
    struct udp_ops ops = *real_ops();
    struct udp_options options = {.bind = &loopback, .ops = &ops};
    ops.receive = endless_receive;
    end_open(&a, NULL, NULL);
    memset(&b, 0, sizeof(b));
    assert_int_equal(udp_uv_open(&loop, &options, NULL, &noting, &b, &b.u), 0);
    assert_int_equal(udp_uv_local(b.u, &b.local), 0);
    assert_int_equal(udp_uv_send(a.u, &b.local, a.data, 1, 0, NULL), 0);
    (void)uv_run(&loop, UV_RUN_ONCE);
    assert_true(nows[0] > 0);
    for (int i = 1; i < UDP_UV_ROUND_BATCHES; i++) {
        assert_true(nows[i] == nows[0]);
    }
    udp_uv_close(a.u);
    udp_uv_close(b.u);
}

static void tells_once_that_the_socket_is_gone(void **state)
{
    (void)state;
    struct udp_ops ops = *real_ops();
    ops.receive = broken_receive;
    end_open(&a, NULL, NULL);
    end_open(&b, &ops, NULL);
    assert_int_equal(udp_uv_send(a.u, &b.local, a.data, 1, 0, NULL), 0);
    run();
    (void)uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(b.errors, 1);
    assert_int_equal(b.error, -EBADF);
    assert_int_equal(b.batches, 0);
    udp_uv_close(a.u);
    udp_uv_close(b.u);
}

/* A pending ICMP error makes libuv stop the handle; it must start again. */
static void lives_on_after_a_closed_port(void **state)
{
    (void)state;
    struct sockaddr_storage ss;
    struct udp_socket gone;
    struct addr to_gone;
    struct udp_options options = {.bind = &loopback};
    end_open(&a, NULL, NULL);
    end_open(&b, NULL, NULL);
    assert_int_equal(udp_open(&gone, &options), 0);
    assert_int_equal(udp_local(&gone, &to_gone), 0);
    udp_close(&gone);
    int fd = udp_uv_socket(a.u)->fd;
    socklen_t len = sockaddr_encode(&ss, &to_gone, AF_INET);
    assert_int_equal(connect(fd, (const struct sockaddr *)&ss, len), 0);
    assert_int_equal(udp_uv_send(a.u, &to_gone, a.data, 1, 0, NULL), 0);
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&pfd, 1, DEADLINE_MS), 1);
    assert_true(pfd.revents & POLLERR); /* what makes libuv stop */
    (void)uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(udp_uv_socket(a.u)->stats.receive_errors, 1);
    len = sockaddr_encode(&ss, &b.local, AF_INET);
    assert_int_equal(connect(fd, (const struct sockaddr *)&ss, len), 0);
    a.want = 4;
    assert_int_equal(udp_uv_send(b.u, &a.local, (const uint8_t *)"well", 4, 0, NULL), 0);
    run();
    assert_memory_equal(a.data, "well", 4);
    assert_int_equal(a.errors, 0);
    udp_uv_close(a.u);
    udp_uv_close(b.u);
}

static void leaves_nothing_when_it_cannot_open(void **state)
{
    (void)state;
    struct udp_uv *u = NULL;
    end_open(&a, NULL, NULL);
    struct udp_options options = {.bind = &a.local};
    assert_int_equal(udp_uv_open(&loop, &options, NULL, &callbacks, &b, &u), -EADDRINUSE);
    for (size_t n = 1; n <= 2; n++) {
        options.bind = &loopback;
        mem_fail_after(n);
        int rc = udp_uv_open(&loop, &options, NULL, &callbacks, &b, &u);
        mem_fail_after(0);
        assert_int_equal(rc, ERR_NO_MEMORY);
    }
    assert_null(u);
    udp_uv_close(a.u);
}

int main(void)
{
#define LOOP_TEST(f) cmocka_unit_test_setup_teardown(f, open_loop, close_loop)
    const struct CMUnitTest tests[] = {
        LOOP_TEST(delivers_batches),
        LOOP_TEST(catches_up_without_the_loop),
        LOOP_TEST(shares_one_batch_among_sockets),
        LOOP_TEST(closes_from_within_a_batch),
        LOOP_TEST(tells_once_when_there_is_room_again),
        LOOP_TEST(bounds_the_batches_of_one_round),
        LOOP_TEST(reads_the_clock_once_a_round),
        LOOP_TEST(tells_once_that_the_socket_is_gone),
        LOOP_TEST(lives_on_after_a_closed_port),
        LOOP_TEST(leaves_nothing_when_it_cannot_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
