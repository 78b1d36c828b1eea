#include "loop/sender.h"

#include "crypto/keys.h"
#include "crypto/lentkey.h"
#include "os/udp_ops.h"
#include "wire/packet.h"

#include <base/err.h>
#include <base/mem.h>

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { DEADLINE_MS = 20000, SEGMENT = 1232, SEGMENTS = 20 };

static const struct addr loopback = {.family = ADDR_IPV4, .ip = {127, 0, 0, 1}};
static const uint8_t key[AEAD_KEY_LEN] = {1, 2, 3};

/* A worker that sends from `out`, and where it arrives. */
struct world {
    uv_loop_t loop;
    struct sender *sender;
    struct udp_socket out, in;
    struct addr to;
    struct udp_batch batch;
    struct lentkey *key;
    struct aead_key open;
    uint64_t made, arrived; /* packets; their numbers go up */
    unsigned done;          /* calls of on_done */
};

static void on_done(void *user)
{
    struct world *w = user;
    w->done++;
}

static void open_udp(struct udp_socket *s)
{
    const struct udp_options options = {.bind = &loopback, .offload = true};
    assert_int_equal(udp_open(s, &options), 0);
}

static struct world *world_new(void)
{
    struct world *w = mem_new(1, sizeof(*w));
    assert_non_null(w);
    assert_int_equal(crypto_init(), 0);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    open_udp(&w->out);
    open_udp(&w->in);
    assert_int_equal(udp_local(&w->in, &w->to), 0);
    assert_int_equal(udp_batch_init(&w->batch), 0);
    w->key = lentkey_new(AEAD_CHACHA20POLY1305, key);
    assert_non_null(w->key);
    assert_int_equal(aead_key_init(&w->open, AEAD_CHACHA20POLY1305, key), 0);
    assert_int_equal(sender_open(&w->loop, on_done, w, &w->sender), 0);
    return w;
}

static void world_free(struct world *w)
{
    sender_close(w->sender);
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    lentkey_release(w->key); /* the last: a leak would be reported */
    aead_key_wipe(&w->open);
    udp_batch_deinit(&w->batch);
    udp_close(&w->in);
    udp_close(&w->out);
    mem_free(w);
}

/* Fills the next job with packets to `to` that are not sealed, and hands it over. */
static bool hand(struct world *w, const struct addr *to)
{
    size_t job;
    if (!worker_free(w->sender->worker, &job)) {
        return false;
    }
    struct sender_job *j = &w->sender->jobs[job];
    for (size_t i = 0; i < SEGMENTS; i++) {
        const struct packet_data_header h = {.path = 1, .receiver = 5, .number = w->made};
        uint8_t *at = j->buffer + i * SEGMENT;
        memset(at, (int)(w->made % 251), SEGMENT);
        packet_write_data(at, &h);
        w->made++;
    }
    j->batch = (struct node_batch){.to = *to,
                                   .data = j->buffer,
                                   .len = SEGMENTS * SEGMENT,
                                   .segment = SEGMENT,
                                   .key = lentkey_hold(w->key)};
    j->socket = udp_lend(&w->out);
    sender_hand(w->sender, j);
    return true;
}

/* The oldest job that is not taken back; is it done? */
static bool is_done(const struct world *w, struct sender_job **out)
{
    size_t job;
    bool done = worker_done(w->sender->worker, &job);
    *out = &w->sender->jobs[job];
    return done;
}

/* Takes one job back if one is done. */
static bool take(struct world *w)
{
    struct sender_job *j;
    if (!is_done(w, &j)) {
        return false;
    }
    udp_return(&w->out, &j->socket);
    sender_take(w->sender, j);
    return true;
}

static void check(struct world *w, const struct udp_datagram *d)
{
    struct packet_data_header h;
    assert_int_equal(d->len, SEGMENT);
    assert_int_equal(packet_read_data(&h, d->data, d->len), 0);
    assert_int_equal(h.number, w->arrived); /* in order, each once */
    uint8_t *text = d->data + PACKET_DATA_HEADER_LEN;
    assert_int_equal(aead_open(&w->open, h.path, h.number, d->data, PACKET_DATA_HEADER_LEN, text,
                               d->len - PACKET_DATA_HEADER_LEN),
                     SEGMENT - PACKET_DATA_OVERHEAD);
    assert_int_equal(text[0], w->arrived % 251);
    w->arrived++;
}

static void receive(struct world *w)
{
    struct udp_datagram d;
    while (w->arrived < w->made) {
        struct pollfd p = {.fd = w->in.fd, .events = POLLIN};
        assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
        assert_true(udp_receive(&w->in, &w->batch) >= 0);
        while (udp_batch_next(&w->batch, &d)) {
            check(w, &d);
        }
    }
}

static void what_is_handed_over_arrives_sealed_and_in_order(void **state)
{
    (void)state;
    struct world *w = world_new();
    for (unsigned i = 0; i < 50 * WORKER_JOBS; i++) {
        assert_true(hand(w, &w->to));
        receive(w); /* no more than the receiving socket has room for */
        worker_await(w->sender->worker);
        assert_true(take(w));
        assert_false(take(w));
        assert_true(worker_is_idle(w->sender->worker));
    }
    assert_int_equal(w->out.stats.datagrams_out, w->made);
    assert_int_equal(w->out.stats.bytes_out, w->made * SEGMENT);
    world_free(w);
}

/* Both sides at work at once. */
static void the_ring_goes_round(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct sender_job *j;
    for (unsigned i = 0; i < 200; i++) {
        while (hand(w, &w->to)) {
        }
        while (w->done == 0 && !is_done(w, &j)) {
            (void)uv_run(&w->loop, UV_RUN_ONCE); /* worker_free has said no: on_done comes */
        }
        w->done = 0;
        receive(w);
        while (take(w)) {
        }
    }
    worker_await(w->sender->worker);
    while (take(w)) {
    }
    assert_int_equal(w->out.stats.datagrams_out, w->made);
    world_free(w);
}

/* Nothing listens for an error that only the thread has seen: so it wakes the loop. */
static void what_the_system_refuses_is_told(void **state)
{
    (void)state;
    struct world *w = world_new();
    const struct addr nowhere = {.family = ADDR_IPV6, .ip = {0x20, 1}, .port = 9};
    assert_true(hand(w, &nowhere)); /* from a socket for IPv4 */
    while (w->done == 0) {
        (void)uv_run(&w->loop, UV_RUN_ONCE);
    }
    struct sender_job *j;
    assert_true(is_done(w, &j));
    assert_int_equal(j->err, -EAFNOSUPPORT);
    assert_int_equal(j->refused, SEGMENTS);
    assert_true(take(w));
    assert_int_equal(w->out.stats.send_unreachable, SEGMENTS);
    world_free(w);
}

static int send_nothing(struct udp_socket *s, const struct udp_chunk *c, size_t *sent)
{
    (void)s;
    (void)c;
    *sent = 0;
    return -EAGAIN;
}

/* Who is about to close a socket does not wait until it has room. */
static void a_full_socket_holds_nobody_up(void **state)
{
    (void)state;
    struct world *w = world_new();
    const struct udp_ops *usual = w->out.ops;
    struct udp_ops full = *usual;
    full.send = send_nothing;
    w->out.ops = &full;
    for (unsigned i = 0; i < WORKER_JOBS; i++) {
        assert_true(hand(w, &w->to));
    }
    assert_false(hand(w, &w->to)); /* a ceiling */
    worker_await(w->sender->worker);
    for (unsigned i = 0; i < WORKER_JOBS; i++) {
        struct sender_job *j;
        assert_true(is_done(w, &j));
        assert_int_equal(j->refused, SEGMENTS);
        assert_int_equal(j->err, -EAGAIN);
        assert_true(take(w));
    }
    assert_true(worker_is_idle(w->sender->worker));
    w->out.ops = usual; /* and it goes on */
    w->made = 0;
    assert_true(hand(w, &w->to));
    receive(w);
    world_free(w);
}

/* Closed with jobs under way and jobs that nobody took back. */
static void closing_does_what_is_under_way(void **state)
{
    (void)state;
    struct world *w = world_new();
    for (unsigned i = 0; i < WORKER_JOBS; i++) {
        assert_true(hand(w, &w->to));
    }
    world_free(w);
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct sender *s;
    assert_int_equal(uv_loop_init(&loop), 0);
    for (size_t k = 1; k <= 2 + WORKER_JOBS; k++) {
        mem_fail_after(k);
        assert_int_equal(sender_open(&loop, on_done, NULL, &s), ERR_NO_MEMORY);
        mem_fail_after(0);
    }
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_handed_over_arrives_sealed_and_in_order),
        cmocka_unit_test(the_ring_goes_round),
        cmocka_unit_test(what_the_system_refuses_is_told),
        cmocka_unit_test(a_full_socket_holds_nobody_up),
        cmocka_unit_test(closing_does_what_is_under_way),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
