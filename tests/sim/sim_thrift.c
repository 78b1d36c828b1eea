/* What sessions hold in memory: counted by allocations of this program's own in the place of
 * base/mem.c. The simulator's do not come through it, so every byte here is a conn's.
 */
#include <base/mem.h>

#include "sim/pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS(n) ((uint64_t)(n)*NS_PER_MS)
enum {
    STREAMS = 1000,
    KEPT_MAX = 256 * 1024,
    HEAD = 64 /* before each block: its size; keeps the alignment */
};

static size_t held;

void *mem_new(size_t count, size_t size)
{
    size_t total = (HEAD + count * size + HEAD - 1) / HEAD * HEAD;
    uint8_t *block = aligned_alloc(HEAD, total);
    assert_non_null(block);
    memset(block, 0, total);
    memcpy(block, &(size_t){count * size}, sizeof(size_t));
    held += count * size;
    return block + HEAD;
}

static size_t size_of(const void *p)
{
    size_t size = 0;
    if (p) {
        memcpy(&size, (const uint8_t *)p - HEAD, sizeof(size));
    }
    return size;
}

void mem_free(void *p)
{
    held -= size_of(p);
    free(p ? (uint8_t *)p - HEAD : NULL);
}

void *mem_resize(void *p, size_t size)
{
    void *to = mem_new(1, size);
    size_t old = size_of(p);
    if (old > 0) {
        memcpy(to, p, old < size ? old : size);
    }
    mem_free(p);
    return to;
}

char *mem_text(const char *text)
{
    char *copy = mem_new(1, strlen(text) + 1);
    memcpy(copy, text, strlen(text) + 1);
    return copy;
}

void mem_fail_after(size_t n)
{
    (void)n;
}

/* --- tests --- */

static size_t per_stream(size_t before)
{
    return held > before ? (held - before) / STREAMS / 2 : 0;
}

/* A thousand that have carried so much each way and now wait, for anything; opened by either side
 * in turn. What both sides hold for them then, and what is left when they are gone. */
static void expect_idle(uint64_t bytes, size_t most)
{
    struct pair_config config = pair_config_default("sim_thrift", 1);
    struct pair *p = pair_new(&config);
    size_t before = held;
    struct app_plan plan = app_transfer(bytes, bytes);
    plan.stays_open = true;
    uint64_t ids[STREAMS];
    for (size_t i = 0; i < STREAMS; i++) {
        ids[i] = pair_open(p, i % 2, &plan);
        pair_rest(p, MS(1));
    }
    size_t busy = per_stream(before);
    pair_rest(p, 60 * NS_PER_S);
    size_t idle = per_stream(before);
    assert_int_equal(p->side[0].app.bytes_read, STREAMS * bytes);
    assert_int_equal(p->side[1].app.bytes_read, STREAMS * bytes);
    for (size_t i = 0; i < STREAMS; i++) {
        app_abort(&p->side[i % 2].app, ids[i]);
        pair_drive(p, i % 2);
    }
    pair_rest(p, 60 * NS_PER_S);
    print_message("             %u bytes each way: %zu a stream and side while they come, %zu "
                  "idle, %zu after\n",
                  (unsigned)bytes, busy, idle, per_stream(before));
    assert_true(idle <= most);
    /* What conns keep to write down what they send: some, however many streams there were. */
    assert_true(held - before <= 2 * KEPT_MAX);
    assert_int_equal(conn_stream_count(p->side[0].conn) + conn_stream_count(p->side[1].conn), 0);
    pair_free(p);
    assert_int_equal(held, 0);
}

static void a_thousand_idle_streams_cost_a_kilobyte_each(void **state)
{
    (void)state;
    static const uint64_t bytes[] = {0, 2000, 100000};
    for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
        expect_idle(bytes[i], 1024);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_idle_streams_cost_a_kilobyte_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
