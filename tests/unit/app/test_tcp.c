/* What the owners of app/tcp do not show: a connection that stands before libuv knows of it. */
#include "unit/app/world.h"

struct owner {
    struct tcp *tcp;
    int calls, finished;
    uint8_t in[8];
    ssize_t read;
};

struct side {
    struct world w;
    struct pool pool;
    struct owner owner;
    int listener, server;
    int late; /* calls of `connected` */
};

static size_t on_room(void *user, uint8_t **at)
{
    struct owner *o = user;
    *at = o->in;
    return sizeof(o->in);
}

static void on_read(void *user, ssize_t n)
{
    struct owner *o = user;
    o->read = n;
}

static void on_sent(void *user, int status)
{
    (void)user;
    assert_int_equal(status, 0);
}

static void on_finished(void *user, int status)
{
    struct owner *o = user;
    o->calls++;
    o->finished = status;
}

static const struct tcp_ops ops = {
    .room = on_room, .read = on_read, .sent = on_sent, .finished = on_finished};

static void on_connected(void *user, struct tcp *tcp, int status)
{
    struct side *s = user;
    (void)tcp;
    (void)status;
    s->late++;
}

/* To this machine it stands at once: the loop has not turned. */
static struct side *connect_at_once(void)
{
    static struct side s;
    struct addr at;
    s = (struct side){.owner.finished = -1};
    world_init(&s.w);
    pool_init(&s.pool, 4);
    s.listener = world_listen(&at);
    s.owner.tcp = tcp_new(&s.w.loop, &s.pool);
    assert_non_null(s.owner.tcp);
    assert_int_equal(tcp_connect(s.owner.tcp, &at, on_connected, &s), 0);
    assert_true(tcp_is_connected(s.owner.tcp));
    tcp_attach(s.owner.tcp, &ops, &s.owner);
    return &s;
}

static void disconnect(struct side *s)
{
    tcp_close(s->owner.tcp);
    (void)close(s->server);
    (void)close(s->listener);
    assert_int_equal(s->late, 0);
    world_deinit(&s->w);
    pool_deinit(&s->pool);
}

static void an_end_before_libuv_knows_gets_there(void **state)
{
    (void)state;
    struct side *s = connect_at_once();
    assert_int_equal(tcp_finish(s->owner.tcp), 0);
    s->server = world_accept(&s->w, s->listener);
    assert_int_equal(world_end(&s->w, s->server), 0);
    WORLD_UNTIL(&s->w, s->owner.calls > 0);
    assert_int_equal(s->owner.calls, 1);
    assert_int_equal(s->owner.finished, 0);
    disconnect(s);
}

/* The other direction goes on. */
static void so_does_one_behind_bytes(void **state)
{
    (void)state;
    char in[4];
    struct side *s = connect_at_once();
    assert_int_equal(tcp_send(s->owner.tcp, "ping", 4), 4);
    assert_int_equal(tcp_finish(s->owner.tcp), 0);
    tcp_resume(s->owner.tcp);
    s->server = world_accept(&s->w, s->listener);
    assert_int_equal(world_get(&s->w, s->server, in, sizeof(in)), 4);
    assert_memory_equal(in, "ping", 4);
    assert_int_equal(world_end(&s->w, s->server), 0);
    world_put(&s->w, s->server, "pong", 4);
    WORLD_UNTIL(&s->w, s->owner.read == 4);
    assert_memory_equal(s->owner.in, "pong", 4);
    assert_int_equal(s->owner.finished, 0);
    disconnect(s);
}

/* Nobody is left to be told. */
static void who_closes_before_libuv_knows_hears_nothing(void **state)
{
    (void)state;
    struct side *s = connect_at_once();
    assert_int_equal(tcp_finish(s->owner.tcp), 0);
    tcp_close(s->owner.tcp);
    s->server = world_accept(&s->w, s->listener);
    assert_int_equal(world_end(&s->w, s->server), 0);
    (void)close(s->server);
    (void)close(s->listener);
    world_deinit(&s->w);
    pool_deinit(&s->pool);
    assert_int_equal(s->owner.calls, 0);
    assert_int_equal(s->late, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_end_before_libuv_knows_gets_there),
        cmocka_unit_test(so_does_one_behind_bytes),
        cmocka_unit_test(who_closes_before_libuv_knows_hears_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
