#include "sim/pair.h"

#include <base/check.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    PACKET_LEN_MAX = PACKET_MTU_MAX,
    OUTPUTS_MAX = 100000, /* in one instant: more is a livelock */
    PATH_MTU = PACKET_MTU_BASE,
};

#define TIMER_NS NS_PER_MS

struct pair_config pair_config_default(const char *name, uint64_t seed)
{
    struct pair_config config = {
        .name = name, .seed = world_setting("ADIT_SEED", seed), .paths = 1};
    struct link_config link = {
        .rate_bps = 100000000,
        .delay_ns = 20 * NS_PER_MS,
        .queue_bytes = 2500000,
        .mtu = 1472,
    };
    for (size_t i = 0; i < PAIR_PATHS_MAX; i++) {
        pair_config_path(&config, i, &link);
    }
    config.limits[0] = config.limits[1] = conn_limits_default();
    return config;
}

void pair_config_path(struct pair_config *config, size_t path, const struct link_config *link)
{
    config->link[path][0] = config->link[path][1] = *link;
}

static struct world *world_of(struct pair *p)
{
    return p->config.with ? &p->config.with->world : &p->world;
}

/* --- packets --- */

static uint64_t checksum(const uint8_t *data, size_t len)
{
    uint64_t sum = UINT64_C(0x9e3779b97f4a7c15) + len;
    for (size_t i = 0; i < len; i += 8) {
        uint64_t v = 0;
        memcpy(&v, data + i, len - i < 8 ? len - i : 8);
        sum = (sum ^ v) * UINT64_C(0xff51afd7ed558ccd);
        sum ^= sum >> 32;
    }
    return sum;
}

static void seal(uint8_t *packet, uint8_t path, uint64_t number, size_t payload_len)
{
    struct packet_data_header h = {.path = path, .number = number};
    packet_write_data(packet, &h);
    size_t len = PACKET_DATA_HEADER_LEN + payload_len;
    uint64_t sum = checksum(packet, len);
    memset(packet + len, 0, PACKET_TAG_LEN);
    memcpy(packet + len, &sum, sizeof(sum));
}

static bool open_packet(struct packet_data_header *h, const uint8_t *packet, size_t len)
{
    uint64_t tag[2], sum;
    if (packet_read_data(h, packet, len)) {
        return false;
    }
    memcpy(tag, packet + len - PACKET_TAG_LEN, sizeof(tag));
    sum = checksum(packet, len - PACKET_TAG_LEN);
    return tag[0] == sum && tag[1] == 0;
}

/* --- the loop --- */

static void switch_path(struct side *s, uint8_t suspect)
{
    if (suspect != conn_path_used(s->conn)) {
        return;
    }
    size_t paths = s->pair->config.paths;
    size_t now = 0;
    while (now < paths && s->path[now].id != suspect) {
        now++;
    }
    for (size_t i = 1; i < paths; i++) {
        const struct side_path *next = &s->path[(now + i) % paths];
        if (next->open) {
            conn_path_use(s->conn, next->id, true, world_of(s->pair)->now);
            return;
        }
    }
}

static bool take_events(struct side *s)
{
    static struct conn_event ev;
    bool any = false;
    while (conn_event(s->conn, &ev)) {
        any = true;
        app_event(&s->app, &ev);
        if (ev.type == CONN_EVENT_PATH_SUSPECT && s->pair->config.switch_when_suspect) {
            switch_path(s, ev.path);
        }
    }
    return any;
}

static struct side_path *path_by_id(struct side *s, uint8_t id)
{
    for (size_t i = 0; i < s->pair->config.paths; i++) {
        if (s->path[i].id == id) {
            return &s->path[i];
        }
    }
    fail_msg("no path %d", id);
    abort(); /* fail_msg does not come back, which the compiler cannot know */
}

/* One packet, if the conn has any to send; false when it has not. */
static bool send_packet(struct side *s)
{
    static uint8_t packet[PACKET_LEN_MAX];
    uint64_t now = world_of(s->pair)->now;
    uint8_t id = conn_next_path(s->conn, now);
    if (id == 0) {
        return false;
    }
    struct side_path *path = path_by_id(s, id);
    assert_true(path->open);
    uint64_t number = 0;
    size_t len = conn_output(s->conn, id, packet + PACKET_DATA_HEADER_LEN,
                             sizeof(packet) - PACKET_DATA_OVERHEAD, &number, now);
    if (len == 0) {
        return true; /* "nothing after all"; the caller's ceiling catches a conn that never ends */
    }
    seal(packet, id, number, len);
    s->packets_out++;
    s->bytes_out += len + PACKET_DATA_OVERHEAD;
    link_send(&path->out, packet, len + PACKET_DATA_OVERHEAD);
    return true;
}

static uint64_t next_tick(const struct side *s)
{
    uint64_t next = conn_next_ns(s->conn);
    uint64_t now = world_of(s->pair)->now;
    if (next == TIME_NEVER) {
        return TIME_NEVER;
    }
    next = next > now ? next : now + 1;
    return (next + TIMER_NS - 1) / TIMER_NS * TIMER_NS;
}

static void drive(struct side *s)
{
    int outputs = 0;
    bool more = true;
    while (more) {
        more = take_events(s);
        while (send_packet(s)) {
            more = true;
            if (++outputs > OUTPUTS_MAX) {
                fail_msg("side %zu sends without end", s->index);
            }
        }
    }
    world_at(world_of(s->pair), &s->tick, next_tick(s));
}

static void on_tick(struct world_event *event)
{
    struct side *s = container_of(event, struct side, tick);
    uint64_t before = s->packets_out;
    conn_tick(s->conn, world_of(s->pair)->now);
    drive(s);
    s->ticks++;
    s->idle_ticks += s->packets_out == before;
}

static void deliver(void *user, const uint8_t *data, size_t len)
{
    struct side_path *path = user;
    struct side *s = path->side;
    struct packet_data_header h;
    if (!open_packet(&h, data, len)) {
        s->packets_forged++;
        return;
    }
    s->packets_in++;
    uint8_t reply = path->open ? path->id : 0;
    assert_int_equal(conn_input(s->conn, h.path, h.number, reply, data + PACKET_DATA_HEADER_LEN,
                                len - PACKET_DATA_OVERHEAD, world_of(s->pair)->now),
                     0);
    drive(s);
}

/* --- the pair --- */

static void init_side(struct pair *p, size_t index)
{
    struct side *s = &p->side[index];
    s->pair = p;
    s->index = index;
    s->tick.fire = on_tick;
    struct conn_config config = {
        .limits = p->config.limits[index],
        .congestion = p->config.congestion,
        .even = index == 0,
        .rng = pcg_rng(&s->pcg, index), /* what the world does is not to depend on its draws */
    };
    s->conn = conn_new(&config);
    assert_non_null(s->conn);
    app_init(&s->app, s->conn, world_of(p));
    for (size_t i = 0; i < p->config.paths; i++) {
        struct side_path *path = &s->path[i];
        path->side = s;
        path->index = i;
        path->id = (uint8_t)(index == 0 ? i + 1 : PAIR_PATHS_MAX - i);
        path->open = true;
        link_init(&path->out, world_of(p), &p->config.link[i][index]);
        path->out.wire = p->config.with ? &p->config.with->side[index].path[i].out : &path->out;
        path->out.deliver = deliver;
        path->out.user = &p->side[1 - index].path[i];
    }
}

static void open_path(struct side *s, size_t path)
{
    uint64_t now = world_of(s->pair)->now;
    conn_path_open(s->conn, s->path[path].id, PATH_MTU, now);
    conn_path_search_mtu(s->conn, s->path[path].id, PACKET_MTU_MAX, now);
}

static void start_side(struct pair *p, size_t index)
{
    const struct conn_limits *peer = &p->config.limits[1 - index];
    struct conn_peer_limits limits = {
        .session_window = peer->session_window,
        .stream_window = peer->stream_window,
        .streams_max = peer->streams_max,
        .max_ack_delay_ns = peer->max_ack_delay_ns,
    };
    struct side *s = &p->side[index];
    conn_start(s->conn, &limits, world_of(p)->now);
    for (size_t i = 0; i < p->config.paths; i++) {
        open_path(s, i);
    }
    conn_path_use(s->conn, s->path[0].id, false, world_of(p)->now);
    drive(s);
}

/* What a failed test leaves behind stays reachable: no report of leaks hides the failure. */
static struct pair *alive;

struct pair *pair_new(const struct pair_config *config)
{
    struct pair *p = calloc(1, sizeof(*p));
    CHECK(p && config->paths >= 1 && config->paths <= PAIR_PATHS_MAX);
    p->next = alive;
    alive = p;
    p->config = *config;
    if (!config->with) {
        world_init(&p->world, config->name, config->seed);
    }
    p->start_ns = world_of(p)->now;
    for (size_t i = 0; i < 2; i++) {
        init_side(p, i);
    }
    for (size_t i = 0; i < 2; i++) {
        start_side(p, i);
    }
    return p;
}

void pair_free(struct pair *p)
{
    struct pair **at = &alive;
    while (*at != p) {
        at = &(*at)->next;
    }
    *at = p->next;
    for (size_t i = 0; i < 2; i++) {
        struct side *s = &p->side[i];
        /* A timer that finds nothing to do is set for something that packets did: none, one or
         * a few for each packet, never one after the other. */
        assert_true(s->idle_ticks <= 2 * (s->packets_in + s->packets_out) + 20);
        heap_remove(&world_of(p)->heap, &s->tick.node);
        for (size_t k = 0; k < p->config.paths; k++) {
            link_deinit(&s->path[k].out);
        }
        conn_free(s->conn);
        app_deinit(&s->app);
    }
    if (!p->config.with) {
        world_deinit(&p->world);
    }
    free(p);
}

uint64_t pair_open(struct pair *p, size_t side, const struct app_plan *plan)
{
    uint64_t id = app_open(&p->side[side].app, plan);
    drive(&p->side[side]);
    return id;
}

void pair_drive(struct pair *p, size_t side)
{
    drive(&p->side[side]);
}

void pair_use(struct pair *p, size_t side, size_t path, bool resend)
{
    struct side *s = &p->side[side];
    conn_path_use(s->conn, s->path[path].id, resend, world_of(p)->now);
    drive(s);
}

void pair_close_path(struct pair *p, size_t path)
{
    for (size_t i = 0; i < 2; i++) {
        struct side *s = &p->side[i];
        s->path[path].open = false;
        conn_path_close(s->conn, s->path[path].id, world_of(p)->now);
        drive(s);
    }
}

void pair_open_path(struct pair *p, size_t path)
{
    for (size_t i = 0; i < 2; i++) {
        struct side *s = &p->side[i];
        s->path[path].open = true;
        open_path(s, path);
        drive(s);
    }
}

void pair_set_up(struct pair *p, size_t path, bool up)
{
    for (size_t i = 0; i < 2; i++) {
        link_set_up(&p->side[i].path[path].out, up);
    }
}

static bool is_finished(const struct pair *p)
{
    return p->side[0].app.unfinished == 0 && p->side[1].app.unfinished == 0;
}

void pair_rest(struct pair *p, uint64_t ns)
{
    uint64_t until = world_of(p)->now + ns;
    while (world_step(world_of(p), until)) {
    }
}

bool pair_run(struct pair *p, uint64_t ns)
{
    uint64_t until = world_of(p)->now + ns;
    drive(&p->side[0]);
    drive(&p->side[1]);
    while (!is_finished(p) && world_step(world_of(p), until)) {
    }
    return is_finished(p);
}

uint64_t pair_finish(struct pair *p, uint64_t ns)
{
    bool done = pair_run(p, ns);
    const struct app *a = &p->side[0].app, *b = &p->side[1].app;
    uint64_t read_ns = a->read_ns > b->read_ns ? a->read_ns : b->read_ns;
    print_message("             %.3f s of %.3f s, packets %llu + %llu\n",
                  (double)time_since(p->start_ns, done ? read_ns : world_of(p)->now) / 1e9,
                  (double)ns / 1e9, (unsigned long long)p->side[0].packets_out,
                  (unsigned long long)p->side[1].packets_out);
    if (!done) {
        fail_msg("%llu + %llu streams left, %llu + %llu unread", (unsigned long long)a->unfinished,
                 (unsigned long long)b->unfinished, (unsigned long long)a->unread,
                 (unsigned long long)b->unread);
    }
    return time_since(p->start_ns, read_ns);
}

void pair_settle(struct pair *p)
{
    pair_rest(p, 10 * NS_PER_S);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(conn_stream_count(p->side[i].conn), 0);
        assert_false(conn_is_active(p->side[i].conn));
        assert_int_equal(conn_next_ns(p->side[i].conn), TIME_NEVER);
    }
}

uint64_t pair_ideal_packets(uint64_t bytes)
{
    return bytes / (PATH_MTU - PACKET_DATA_OVERHEAD - 12) + 1;
}

uint64_t pair_ideal_ns(uint64_t bytes, uint64_t rate_bps, uint64_t rtt_ns)
{
    double on_wire = (double)bytes * 1.06;
    double path = (double)rate_bps / 8e9 * (double)rtt_ns;
    double fill = on_wire < path ? on_wire : path;
    uint64_t rounds = 0;
    for (double sum = 0, window = 10.0 * PATH_MTU; sum < fill; sum += window, window *= 2) {
        rounds++;
    }
    return rtt_ns / 2 + rounds * rtt_ns + (uint64_t)(on_wire * 8e9 / (double)rate_bps);
}
