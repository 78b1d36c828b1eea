/* The messaging of a cluster against a server in a thread, which speaks just enough of NATS. */
#include "loop/cluster_nats.h"

#include "relay/cluster_seal.h"

#include <arpa/inet.h>
#include <nats/nats.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { MESSAGE = 64, DEADLINE_MS = 30000 };

static const char hello[] =
    "INFO {\"server_id\":\"T\",\"version\":\"2.9.0\",\"proto\":1,\"max_payload\":1048576}\r\n";

/* --- the server --- */

struct server {
    int fd;
    pthread_t thread;
    char url[64];
    unsigned count;  /* messages for each connection */
    unsigned rounds; /* connections that are taken; all but the last end after a message */
    struct cluster_seal *seal;
    bool wrong; /* every second message has a wrong tag */
};

static void send_all(int fd, const void *data, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = send(fd, (const char *)data + at, len - at, MSG_NOSIGNAL);
        if (n <= 0) {
            return; /* the client has gone */
        }
        at += (size_t)n;
    }
}

/* The client's next line; false at the end. */
static bool read_line(int fd, char *out, size_t cap)
{
    size_t n = 0;
    while (n + 1 < cap && read(fd, out + n, 1) == 1) {
        if (out[n++] == '\n') {
            out[n] = '\0';
            return true;
        }
    }
    return false;
}

static void flood(const struct server *s, int fd, const char *sid)
{
    size_t cap = s->count * (MESSAGE + 80u) + 1;
    char *all = malloc(cap);
    size_t len = 0;
    for (unsigned i = 0; i < s->count; i++) {
        uint8_t body[MESSAGE] = {0};
        memcpy(body + CLUSTER_SEAL_LEN, &i, sizeof(i));
        if (s->seal) {
            cluster_seal_close(s->seal, body, sizeof(body));
            body[0] ^= (uint8_t)(s->wrong && i % 2);
        }
        len +=
            (size_t)snprintf(all + len, cap - len, "MSG adit.relay.1.all %s %d\r\n", sid, MESSAGE);
        memcpy(all + len, body, sizeof(body));
        memcpy(all + len + sizeof(body), "\r\n", 2);
        len += sizeof(body) + 2;
    }
    send_all(fd, all, len);
    free(all);
}

static void serve(const struct server *s, int fd, bool last)
{
    char line[1024];
    char sid[16];
    send_all(fd, hello, sizeof(hello) - 1);
    while (read_line(fd, line, sizeof(line))) {
        if (strncmp(line, "PING", 4) == 0) {
            send_all(fd, "PONG\r\n", 6);
        } else if (sscanf(line, "SUB adit.relay.1.all %15s", sid) == 1) {
            flood(s, fd, sid);
        } else if (strncmp(line, "PUB ", 4) == 0 && !last) {
            return;
        }
    }
}

static void *run_server(void *user)
{
    struct server *s = user;
    for (unsigned i = 0; i < s->rounds; i++) {
        int fd = accept(s->fd, NULL, NULL);
        if (fd >= 0) {
            serve(s, fd, i + 1 == s->rounds);
            close(fd);
        }
    }
    return NULL;
}

static void open_server(struct server *s)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(at);
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(s->fd >= 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(s->fd, 4), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&at, &len), 0);
    (void)snprintf(s->url, sizeof(s->url), "nats://127.0.0.1:%u", ntohs(at.sin_port));
    assert_int_equal(pthread_create(&s->thread, NULL, run_server, s), 0);
}

/* --- the relay's side --- */

struct heard {
    uv_loop_t loop;
    uv_timer_t tick;
    uint64_t began_ms;
    struct relay_cluster_io_stats stats;
    struct cluster_nats *nats;
    unsigned ups, downs, messages, turns;
    size_t header; /* of a message */
    unsigned last;
    bool disorder;
    bool stopped;
};

static void on_link(void *user, bool up)
{
    struct heard *h = user;
    static const struct relay_cluster_output out = {
        .o = {.type = CLUSTER_PUBLISH_ALL, .head_len = 1}};
    h->ups += up;
    h->downs += !up;
    if (up) {
        cluster_nats_do(h->nats, &out);
    }
}

static void on_message(void *user, const uint8_t *data, size_t len)
{
    struct heard *h = user;
    unsigned number;
    assert_int_equal(len, MESSAGE - CLUSTER_SEAL_LEN + h->header);
    memcpy(&number, data + h->header, sizeof(number));
    h->disorder = h->disorder || (h->messages > 0 && number <= h->last);
    h->last = number;
    h->messages++;
}

static void on_nobody(void *user, const uint8_t key[32])
{
    (void)user;
    (void)key;
    fail();
}

static void on_turn_end(void *user)
{
    ((struct heard *)user)->turns++;
}

static void on_stopped(void *user)
{
    ((struct heard *)user)->stopped = true;
}

/* So that the loop comes round while nothing happens. */
static void on_tick(uv_timer_t *timer)
{
    struct heard *h = timer->data;
    assert_true(uv_now(&h->loop) - h->began_ms < DEADLINE_MS);
}

static void begin(struct heard *h, struct server *s, struct cluster_nats_config *c)
{
    static const struct cluster_nats_callbacks callbacks = {on_link, on_message, on_nobody,
                                                            on_turn_end};
    static const char *url;
    *h = (struct heard){.header = s->seal ? 0 : CLUSTER_SEAL_LEN};
    open_server(s);
    url = s->url;
    c->urls = &url;
    c->url_count = 1;
    c->process = 7;
    c->stats = &h->stats;
    assert_int_equal(uv_loop_init(&h->loop), 0);
    assert_int_equal(uv_timer_init(&h->loop, &h->tick), 0);
    h->tick.data = h;
    h->began_ms = uv_now(&h->loop);
    assert_int_equal(uv_timer_start(&h->tick, on_tick, 10, 10), 0);
    assert_int_equal(cluster_nats_start(&h->loop, c, &callbacks, h, &h->nats), 0);
}

#define UNTIL(h, condition)                                                                        \
    while (!(condition)) {                                                                         \
        uv_run(&(h)->loop, UV_RUN_ONCE);                                                           \
    }

static void finish(struct heard *h, struct server *s)
{
    cluster_nats_stop(h->nats, on_stopped, h);
    UNTIL(h, h->stopped);
    uv_close((uv_handle_t *)&h->tick, NULL);
    uv_run(&h->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&h->loop), 0);
    assert_int_equal(pthread_join(s->thread, NULL), 0);
    close(s->fd);
}

/* --- tests --- */

static void messages_come_in_order(void **state)
{
    (void)state;
    struct server s = {.count = 2000, .rounds = 1};
    struct cluster_nats_config c = {0};
    struct heard h;
    begin(&h, &s, &c);
    UNTIL(&h, h.messages == 2000);
    assert_false(h.disorder);
    assert_int_equal(h.ups, 1);
    assert_int_equal(h.stats.dropped_in + h.stats.slow + h.stats.forged, 0);
    assert_true(h.turns >= 2000 / 128); /* clients have their turn in between */
    finish(&h, &s);
}

/* It is told of, even if it is there again before anybody has looked. */
static void a_lost_connection_is_made_again(void **state)
{
    (void)state;
    struct server s = {.count = 3, .rounds = 4};
    struct cluster_nats_config c = {0};
    struct heard h;
    begin(&h, &s, &c);
    UNTIL(&h, h.stats.losses == 3 && h.ups == h.downs + 1);
    assert_true(h.downs >= 1 && h.downs <= 3);
    finish(&h, &s);
}

static void what_finds_no_room_is_counted(void **state)
{
    (void)state;
    struct server s = {.count = 5000, .rounds = 1};
    struct cluster_nats_config c = {.ring_bytes = 1024};
    struct heard h;
    begin(&h, &s, &c);
    UNTIL(&h, h.messages + h.stats.dropped_in == 5000);
    assert_true(h.stats.dropped_in > 0);
    assert_false(h.disorder);
    finish(&h, &s);
}

/* The library holds no more than it is told to, and says so. */
static void the_library_holds_no_more_than_that(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 50; i++) { /* until its threads happen to run like that */
        struct server s = {.count = 5000, .rounds = 1};
        struct cluster_nats_config c = {.pending_max = 4, .ring_bytes = 64 << 10};
        struct heard h;
        begin(&h, &s, &c);
        UNTIL(&h, h.messages + h.stats.dropped_in == 5000 || h.stats.slow > 0);
        bool slow = h.stats.slow > 0;
        assert_false(h.disorder);
        finish(&h, &s);
        if (slow) {
            return;
        }
    }
    fail();
}

static void only_what_has_the_proof_comes_in(void **state)
{
    (void)state;
    const uint8_t secret[CLUSTER_SEAL_SECRET] = {5};
    struct cluster_seal seal;
    struct pcg pcg;
    cluster_seal_init(&seal, secret, pcg_rng(&pcg, 1));
    struct server s = {.count = 100, .rounds = 1, .seal = &seal, .wrong = true};
    struct cluster_nats_config c = {.secret = secret};
    struct heard h;
    begin(&h, &s, &c);
    UNTIL(&h, h.messages + h.stats.forged == 100);
    assert_int_equal(h.messages, 50);
    assert_false(h.disorder);
    assert_int_equal(h.last, 98);
    finish(&h, &s);
}

/* On a loaded machine messages of the library's own were seen left behind when its threads had
 * ended. What a test loses of those would not show either. LeakSanitizer asks for this name. */
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
    return "leak:natsMsg_create\n";
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_in_order),
        cmocka_unit_test(a_lost_connection_is_made_again),
        cmocka_unit_test(what_finds_no_room_is_counted),
        cmocka_unit_test(the_library_holds_no_more_than_that),
        cmocka_unit_test(only_what_has_the_proof_comes_in),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)nats_CloseAndWait(0); /* the library's own threads */
    return failed;
}
