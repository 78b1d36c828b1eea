#include "fuzz/relay_uv/stage.h"

#include "fuzz/relay_uv/kernel.h"

#include <base/check.h>
#include <base/clock.h>
#include <base/mem.h>

#include <string.h>

enum { SETTLE_ROUNDS = 1200, RATE = 4000 };

struct stage stage;

static void on_log(void *user, enum log_level level, const char *module, const char *event,
                   const char *text)
{
    (void)user;
    CHECK(level <= LOG_TRACE && module[0] && event[0]);
    for (; *text; text++) {
        CHECK((unsigned char)*text >= ' ');
    }
}

void stage_open(void)
{
    stage.relay = NULL;
    stage.draining = stage.was_short = false;
    stage.short_for = 0;
    stage.log.write = on_log;
    for (size_t i = 0; i < STAGE_CLIENTS; i++) {
        stage.clients[i].conn = -1;
    }
    kernel_start(1000 * NS_PER_S);
    clients_start();
}

static void set_rules(struct relay_server_config *c, uint8_t rules)
{
    struct relay_server_limits *l = &c->limits;
    stage.rules = rules;
    if (!(rules & STAGE_LISTED)) {
        clients_expect_all();
    }
    c->open = !(rules & STAGE_LISTED);
    c->allowed = clients_keys();
    c->allowed_count = CLIENT_LISTED;
    l->rate_bytes_per_s = rules & STAGE_RATE ? RATE : 0;
    l->queue_packets_max = rules & STAGE_SHORT_QUEUES ? 2 : 0;
    l->pool_bytes_max = rules & STAGE_SMALL_POOL ? 150000 : 4 << 20;
    l->clients_per_address_max = rules & STAGE_ONE_ADDRESS ? 2 : 0;
    l->http_header_max = rules & STAGE_SHORT_HEADER ? 160 : 0;
    l->handshake_timeout_ns = rules & STAGE_IMPATIENT ? NS_PER_S : 0;
    l->write_stall_ns = rules & STAGE_IMPATIENT ? 100 * NS_PER_MS : 0;
    l->keep_alive_ns = rules & STAGE_IMPATIENT ? NS_PER_S : 0;
    l->contacts_max = rules & STAGE_FEW ? 1 : 0;
    l->pending_max = rules & STAGE_FEW ? 2 : 0;
    l->clients_max = rules & STAGE_FEW ? 4 : STAGE_CLIENTS + 2;
}

static struct relay_server_config config_of(uint8_t rules)
{
    static struct prefix readers;
    CHECK(prefix_parse(&readers, "192.0.2.0/28") == 0);
    struct relay_server_config c = {
        .metrics = &readers, .metrics_count = 1, .stun = &stage.stun, .log = &stage.log};
    c.rng = pcg_rng(&stage.pcg, 1);
    memcpy(c.secret, clients_server_secret(), sizeof(c.secret));
    set_rules(&c, rules);
    return c;
}

void stage_start(uint8_t rules)
{
    const struct addr plain = addr_ipv4(192, 0, 2, 1, STAGE_PORT);
    const struct addr tls = addr_ipv4(192, 0, 2, 1, STAGE_PORT_TLS);
    struct relay_uv_config config = {.listen = &plain,
                                     .listen_count = 1,
                                     .listen_tls = &tls,
                                     .listen_tls_count = clients_server_tls() ? 1 : 0,
                                     .tls = clients_server_tls(),
                                     .server = config_of(rules)};
    CHECK(uv_loop_init(&stage.loop) == 0);
    if (relay_uv_start(&stage.loop, &config, &stage.relay)) {
        stage.relay = NULL;
    }
}

static void on_stopped(void *user)
{
    (void)user;
    stage.relay = NULL;
}

void stage_reload(uint8_t rules)
{
    struct relay_server_config c = config_of(rules);
    CHECK(!stage.relay || relay_uv_reload(stage.relay, &c) == 0);
}

void stage_drain(uint64_t wait_ns)
{
    if (stage.relay && !stage.draining) {
        clients_expect_restart();
        stage.draining = true;
        relay_uv_drain(stage.relay, wait_ns, on_stopped, NULL);
    }
}

static void check_counters(void)
{
    if (!stage.relay) {
        return;
    }
    const struct relay_server_stats *s = relay_uv_stats(stage.relay);
    uint64_t closed = 0;
    for (size_t i = 0; i < RELAY_CLOSE_COUNT; i++) {
        closed += s->closed[i];
    }
    CHECK(s->accepted == s->connections + closed);
    CHECK(s->clients <= s->connections && s->clients <= s->logins && s->logins <= s->accepted);
    CHECK(stage.draining || stage.was_short ||
          s->closed[RELAY_CLOSE_GONE] <= clients_that_may_end());
    /* What was under way when its receiver left may have arrived and counts as dropped. */
    CHECK(s->packets_out <= s->packets_in && clients_received() <= s->packets_in);
}

void stage_run(unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        mem_fail_after(stage.short_for);
        uv_run(&stage.loop, UV_RUN_NOWAIT);
        mem_fail_after(0);
        for (size_t j = 0; j < STAGE_CLIENTS; j++) {
            if (stage.clients[j].reads) {
                client_hear(&stage.clients[j], SIZE_MAX);
            }
        }
    }
    stage.short_for = 0;
    check_counters();
}

/* --- the end --- */

static void become_easy(struct client *c)
{
    c->reads = true;
    if (c->conn >= 0) {
        kernel_set_room(c->conn, 1 << 20);
        kernel_set_bite(c->conn, 0, 0);
        kernel_fail_writes(c->conn, 0, 0);
        kernel_fail_reads(c->conn, 0, 0);
    }
}

static bool is_read(void)
{
    for (size_t i = 0; i < STAGE_CLIENTS; i++) {
        const struct client *c = &stage.clients[i];
        if (c->conn >= 0 && kernel_unread(c->conn) > 0 && !kernel_is_over(c->conn)) {
            return false;
        }
    }
    return true;
}

/* Until nobody says anything any more at this moment. */
static void run_until_quiet(void)
{
    uint64_t before;
    do {
        before = clients_heard();
        stage_run(3);
    } while (clients_heard() != before);
}

/* Nobody hinders the relay any more: then nothing may be left undone, nobody be taken for one who
 * does not read, and everybody gone who should be. */
static void check_settled(uint64_t stalled)
{
    const struct relay_server_stats *s = relay_uv_stats(stage.relay);
    uint64_t dropped = s->dropped[RELAY_DROP_NO_PEER] + s->dropped[RELAY_DROP_QUEUE_HEAD] +
                       s->dropped[RELAY_DROP_QUEUE_TAIL] + s->dropped[RELAY_DROP_LEFT];
    CHECK(is_read() && kernel_waiting() == 0);
    CHECK(s->packets_in == s->packets_out + dropped);
    CHECK(s->closed[RELAY_CLOSE_STALLED] == stalled);
    size_t listeners = stage.draining ? 0 : clients_server_tls() ? 2 : 1;
    CHECK(kernel_server_sockets() == s->connections + listeners);
    for (size_t i = 0; i < STAGE_CLIENTS; i++) {
        const struct client *c = &stage.clients[i];
        bool out = c->conn >= 0 && c->stage == CLIENT_OPEN && c->key >= CLIENT_LISTED &&
                   (stage.rules & STAGE_LISTED);
        CHECK((!out && !client_should_be_over(c)) || client_is_over(c));
    }
}

void stage_settle(void)
{
    stage.short_for = 0;
    kernel_fail_accepts(0, 0);
    for (size_t i = 0; i < STAGE_CLIENTS; i++) {
        become_easy(&stage.clients[i]);
    }
    run_until_quiet();
    uint64_t stalled = stage.relay ? relay_uv_stats(stage.relay)->closed[RELAY_CLOSE_STALLED] : 0;
    for (unsigned i = 0; i < SETTLE_ROUNDS && stage.relay && (i < 8 || !is_read()); i++) {
        kernel_advance(NS_PER_S / 2);
        run_until_quiet();
    }
    if (stage.relay) {
        check_settled(stalled);
    }
}

void stage_close(void)
{
    if (stage.relay && !stage.draining) {
        relay_uv_stop(stage.relay, on_stopped, NULL);
    }
    for (unsigned i = 0; i < 100 && uv_loop_alive(&stage.loop); i++) {
        stage_run(1);
        kernel_advance(NS_PER_S / 2);
    }
    CHECK(!stage.relay && uv_loop_close(&stage.loop) == 0);
    for (size_t i = 0; i < STAGE_CLIENTS; i++) {
        client_leave(&stage.clients[i]);
    }
    kernel_stop();
}
