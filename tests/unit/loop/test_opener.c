#include "loop/opener.h"

#include "crypto/keys.h"
#include "crypto/lentkey.h"
#include "os/udp.h"
#include "wire/packet.h"

#include <base/err.h>
#include <base/mem.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { PACKETS = 60, TEXT = 1400, PACKET = TEXT + PACKET_DATA_OVERHEAD, FORGED = 17 };

static const uint8_t key[AEAD_KEY_LEN] = {1, 2, 3};

struct world {
    uv_loop_t loop;
    struct opener *opener;
    struct lentkey *key;
    struct aead_key seal;
    uint64_t made, checked; /* packets; their numbers go up */
    unsigned done;          /* calls of on_done */
};

static void on_done(void *user)
{
    struct world *w = user;
    w->done++;
}

static struct world *world_new(void)
{
    struct world *w = mem_new(1, sizeof(*w));
    assert_non_null(w);
    assert_int_equal(crypto_init(), 0);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    w->key = lentkey_new(AEAD_CHACHA20POLY1305, key);
    assert_non_null(w->key);
    assert_int_equal(aead_key_init(&w->seal, AEAD_CHACHA20POLY1305, key), 0);
    assert_int_equal(opener_open(&w->loop, on_done, w, &w->opener), 0);
    return w;
}

static void world_free(struct world *w)
{
    opener_close(w->opener);
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    lentkey_release(w->key); /* the last: a leak would be reported */
    aead_key_wipe(&w->seal);
    mem_free(w);
}

static void make_packet(struct world *w, uint8_t *at)
{
    const struct packet_data_header h = {.path = 1, .receiver = 5, .number = w->made};
    packet_write_data(at, &h);
    memset(at + PACKET_DATA_HEADER_LEN, (int)(w->made % 251), TEXT);
    (void)aead_seal(&w->seal, h.path, h.number, at, PACKET_DATA_HEADER_LEN,
                    at + PACKET_DATA_HEADER_LEN, TEXT);
    w->made++;
}

/* Hands over packets of which one is forged, and one is not to be opened. */
static bool hand(struct world *w)
{
    size_t job;
    if (!worker_free(w->opener->worker, &job)) {
        return false;
    }
    struct opener_job *j = &w->opener->jobs[job];
    struct node_opening *o = &j->opening;
    o->keys[o->key_count++] = lentkey_hold(w->key);
    for (o->count = 0; o->count < PACKETS; o->count++) {
        uint8_t *at = j->buffer + o->count * PACKET;
        make_packet(w, at);
        at[PACKET - 1] ^= o->count == FORGED;
        o->arrivals[o->count] = (struct node_arrival){
            .data = at, .len = PACKET, .key = o->count + 1 < PACKETS ? w->key : NULL};
    }
    worker_hand(w->opener->worker);
    return true;
}

static bool take(struct world *w)
{
    size_t job;
    if (!worker_done(w->opener->worker, &job)) {
        return false;
    }
    struct node_opening *o = &w->opener->jobs[job].opening;
    for (size_t i = 0; i < PACKETS; i++) {
        const struct node_arrival *a = &o->arrivals[i];
        bool good = i != FORGED && i + 1 < PACKETS;
        assert_int_equal(a->authentic, good);
        assert_true(!good || a->data[PACKET_DATA_HEADER_LEN] == w->checked % 251);
        w->checked++;
    }
    node_opening_drop(o);
    worker_take(w->opener->worker);
    return true;
}

static void each_job_is_told_of(void **state)
{
    (void)state;
    struct world *w = world_new();
    for (unsigned i = 1; i <= 3 * WORKER_JOBS; i++) {
        assert_true(hand(w));
        while (w->done < i) {
            (void)uv_run(&w->loop, UV_RUN_ONCE);
        }
        assert_true(take(w));
        assert_true(worker_is_idle(w->opener->worker));
    }
    world_free(w);
}

/* Both sides at work at once; who finds the ring full waits for one job, and no more. */
static void the_ring_goes_round(void **state)
{
    (void)state;
    struct world *w = world_new();
    for (unsigned i = 0; i < 300; i++) {
        while (hand(w)) {
        }
        worker_await_one(w->opener->worker);
        assert_true(take(w));
    }
    worker_await(w->opener->worker);
    while (take(w)) {
    }
    assert_int_equal(w->checked, w->made);
    world_free(w);
}

/* Closed with jobs under way and jobs that nobody took back. */
static void closing_lets_the_keys_go(void **state)
{
    (void)state;
    struct world *w = world_new();
    while (hand(w)) {
    }
    world_free(w);
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct opener *o;
    assert_int_equal(uv_loop_init(&loop), 0);
    for (size_t k = 1; k <= 2 + WORKER_JOBS; k++) {
        mem_fail_after(k);
        assert_int_equal(opener_open(&loop, on_done, NULL, &o), ERR_NO_MEMORY);
        mem_fail_after(0);
    }
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_job_is_told_of),
        cmocka_unit_test(the_ring_goes_round),
        cmocka_unit_test(closing_lets_the_keys_go),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
