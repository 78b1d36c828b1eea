/* The whole relay, from the sockets up: relay_uv with libuv, TLS, HTTP, WebSocket and DERP, on a
 * kernel in memory (relay_uv/kernel.h) and with clients that check all that they hear
 * (relay_uv/client.h).
 *
 * An input is a program. Its first two bytes are the relay's rules; then each step is two bytes,
 * what to do (5 bits) with which client (3 bits) and how much, and what some steps need besides.
 * After each step the loop runs, and then:
 *
 *  - every connection that was accepted is open or counted as closed, and none counts as gone that
 *    did nothing of the kind;
 *  - at the end, when all clients read again and time has passed, whatever clients said has been
 *    read, every packet was forwarded or is counted as dropped, and no socket is open without its
 *    connection;
 *  - when the relay has stopped, no socket, no handle and no buffer is left.
 */
#include "fuzz/relay_uv/kernel.h"
#include "fuzz/relay_uv/stage.h"

#include <base/bytes.h>
#include <base/check.h>
#include <base/clock.h>
#include <base/mem.h>

#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum {
    SAID_MAX = 1 << 20, /* bytes by all clients in one program */
    ROUNDS = 2,         /* of the loop after each step */
};

static bool corked; /* no step runs the loop */
static size_t said;
static uint32_t serial; /* of packets */

/* --- what clients do --- */

static void open_client(struct client *c, uint8_t amount)
{
    static const char *const addresses[] = {
        "127.0.0.1:1", "192.0.2.1:1",     "192.0.2.1:2",       "[2001:db8::1]:1",
        "[::1]:1",     "[2001:db8::2]:1", "[2001:db8:1::1]:1", "198.51.100.1:1",
    };
    struct addr from;
    bool tls = amount & 8 && clients_server_tls();
    CHECK(addr_parse(&from, addresses[amount & 7]) == 0);
    if (c->conn >= 0) {
        client_leave(c);
    }
    (void)client_open(c, tls ? STAGE_PORT_TLS : STAGE_PORT, &from, tls);
}

static void talk_tls(const struct client *c)
{
    for (int i = 0; i < 6 && c->conn >= 0 && c->tls && !client_can_talk(c); i++) {
        stage_run(1);
    }
}

/* From nothing to a login; bits of `amount` leave parts of it out. */
static void login(struct client *c, uint8_t amount)
{
    uint8_t key = amount & 3;
    if (c->conn < 0) {
        open_client(c, (uint8_t)(amount >> 4));
    }
    if (c->conn < 0) {
        return;
    }
    talk_tls(c);
    client_upgrade(c, (enum client_way)((amount >> 2 & 3) % CLIENT_WAYS));
    client_login(c, key);
    said += 256;
}

/* A packet to one of the keys. Its content is like no other's, if there is room to say which it is;
 * `cut` leaves off its end, which the next bytes have to be then. */
static void send_packet(struct client *c, uint8_t how, uint8_t size)
{
    static const uint8_t mark[LEDGER_SIGNALLING] = {0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac};
    static uint8_t frame[DERP_PACKET_OVERHEAD + DERP_PACKET_MAX];
    size_t len = how & 128 ? (size_t)size << 8 : size;
    size_t head =
        derp_write_packet(frame, DERP_SEND_PACKET, clients_keys()[(how & 7) % LEDGER_KEYS], len);
    struct writer w = writer_of(frame + head, len);
    write_bytes(&w, mark, how & 8 ? sizeof(mark) : 0);
    write_u32(&w, ++serial);
    size_t cut = how & 16 ? 3 : 0;
    said += head + len;
    if (w.failed) {
        client_say_strange(c, frame, head + len - cut);
    } else {
        memset(w.at, (int)serial, writer_room(&w));
        client_say(c, frame, head + len - cut);
    }
}

static void send_packets(struct client *c, uint8_t how, uint8_t size)
{
    unsigned times = how & 64 ? 40 : how & 32 ? 5 : 1;
    for (unsigned i = 0; i < times && c->conn >= 0 && said < SAID_MAX; i++) {
        if (!ledger_is_full()) {
            send_packet(c, how, size);
        }
    }
}

static void ask(struct client *c, uint8_t amount)
{
    static const char *const questions[] = {
        "GET /metrics HTTP/1.1\r\nHost: r\r\n\r\n",
        "HEAD /metrics HTTP/1.0\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nHost: r\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: r\r\n\r\n",
        "GET /derp/probe HTTP/1.1\r\nHost: r\r\n\r\n",
        "GET /generate_204 HTTP/1.1\r\nHost: r\r\nX-Tailscale-Challenge: abc\r\n\r\n",
        "POST /derp HTTP/1.1\r\nHost: r\r\nContent-Length: 5\r\n\r\nhello",
        "GET /derp HTTP/1.1\r\nHost: r\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    };
    const char *text = questions[amount & 7];
    if (c->conn < 0) {
        open_client(c, (uint8_t)(amount >> 4));
    }
    talk_tls(c);
    client_say_strange(c, text, strlen(text));
}

static void say(struct client *c, struct reader *program, uint8_t amount,
                void (*how)(struct client *c, const void *data, size_t len))
{
    size_t len = amount < reader_left(program) ? amount : reader_left(program);
    const uint8_t *data = read_bytes(program, len);
    if (c->conn >= 0 && said < SAID_MAX && !ledger_is_full()) {
        how(c, data, len);
        said += len;
    }
}

/* A frame of any type with what follows in it; `amount` bytes of it, of as many more that come
 * later. */
static void say_frame(struct client *c, struct reader *program, uint8_t amount)
{
    uint8_t frame[DERP_HEADER] = {read_u8(program)};
    uint8_t more = read_u8(program);
    size_t len = amount + (more >= 250 ? (size_t)more << 13 : 0U);
    frame[2] = (uint8_t)(len >> 16);
    frame[3] = (uint8_t)(len >> 8);
    frame[4] = (uint8_t)len;
    if (c->conn >= 0) {
        client_say_strange(c, frame, sizeof(frame));
        say(c, program, amount, client_say_strange);
    }
}

static void ping(struct client *c, uint8_t amount)
{
    uint8_t frame[DERP_PING_LEN];
    uint8_t payload[8] = {0};
    for (uint8_t i = 0; i < (amount & 7) + 1 && !ledger_is_full(); i++) {
        payload[0] = (uint8_t)(amount >> 3);
        payload[1] = (uint8_t)++serial;
        client_say(c, frame, derp_write_ping(frame, DERP_PING, payload));
    }
}

static int error_of(uint8_t amount)
{
    static const int errors[] = {EAGAIN, EINTR, ECONNRESET, EPIPE, ETIMEDOUT, ENOBUFS};
    return errors[amount % (sizeof(errors) / sizeof(errors[0]))];
}

/* --- what happens to the relay --- */

static void pass_time(uint8_t scale, uint8_t amount)
{
    static const uint64_t units[] = {NS_PER_US, NS_PER_MS, 20 * NS_PER_MS, NS_PER_S / 4};
    kernel_advance(amount * units[scale & 3]);
}

static void fail_accepts(uint8_t amount)
{
    static const int errors[] = {ECONNABORTED, EMFILE, EINTR, ENFILE, ENOBUFS, EAGAIN};
    kernel_fail_accepts(errors[amount % (sizeof(errors) / sizeof(errors[0]))], amount / 8 % 8);
}

/* --- programs --- */

enum step {
    STEP_OPEN,
    STEP_LOGIN,
    STEP_PACKETS,
    STEP_FRAME,
    STEP_SAY,
    STEP_SAY_RAW,
    STEP_ASK,
    STEP_PING,
    STEP_ONLY_UPGRADE,
    STEP_ONLY_LOGIN,
    STEP_LEAVE,
    STEP_SHUT,
    STEP_RESET,
    STEP_HEAR,
    STEP_READ_NO_MORE,
    STEP_READ_AGAIN,
    STEP_ROOM,
    STEP_BITE_IN,
    STEP_BITE_OUT,
    STEP_FAIL_WRITES,
    STEP_FAIL_READS,
    /* of the relay */
    STEP_FAIL_ACCEPTS,
    STEP_PASS_TIME,
    STEP_RELOAD,
    STEP_DRAIN,
    STEP_CORK,
    STEP_RUN,
    STEP_SHORT_OF_MEMORY,
};

static void run_relay_step(enum step step, uint8_t which, uint8_t amount)
{
    switch ((int)step) {
    case STEP_FAIL_ACCEPTS:
        fail_accepts(amount);
        break;
    case STEP_RELOAD:
        stage_reload(amount);
        break;
    case STEP_DRAIN:
        stage_drain(amount * 50 * NS_PER_MS);
        break;
    case STEP_CORK:
        corked = amount & 1;
        break;
    case STEP_RUN:
        stage_run(amount & 7);
        break;
    case STEP_SHORT_OF_MEMORY:
        stage.short_for = amount;
        stage.was_short = true;
        break;
    default:
        pass_time(which, amount);
    }
}

/* What only a connection can do. */
static void run_conn_step(struct client *c, enum step step, uint8_t amount)
{
    switch ((int)step) {
    case STEP_ONLY_UPGRADE:
        client_upgrade(c, (enum client_way)(amount % CLIENT_WAYS));
        break;
    case STEP_ONLY_LOGIN:
        client_login(c, amount & 3);
        break;
    case STEP_LEAVE:
        client_leave(c);
        break;
    case STEP_SHUT:
        client_may_end(c);
        kernel_shut(c->conn);
        break;
    case STEP_RESET:
        client_may_end(c);
        kernel_reset(c->conn);
        break;
    case STEP_HEAR:
        client_hear(c, (size_t)amount << (amount & 1 ? 8 : 0));
        break;
    case STEP_READ_NO_MORE:
    case STEP_READ_AGAIN:
        c->reads = step == STEP_READ_AGAIN;
        break;
    case STEP_ROOM:
        kernel_set_room(c->conn, (size_t)amount << (amount & 1 ? 8 : 2));
        break;
    case STEP_BITE_IN:
        kernel_set_bite(c->conn, amount, 0);
        break;
    case STEP_BITE_OUT:
        kernel_set_bite(c->conn, 0, amount);
        break;
    case STEP_FAIL_WRITES:
        client_may_end(c);
        kernel_fail_writes(c->conn, error_of(amount), amount / 8 % 8);
        break;
    case STEP_FAIL_READS:
        client_may_end(c);
        kernel_fail_reads(c->conn, error_of(amount), amount / 8 % 8);
        break;
    default:
        break;
    }
}

static void run_step(struct reader *program)
{
    uint8_t what = read_u8(program);
    uint8_t amount = read_u8(program);
    enum step step = (enum step)(what & 31);
    struct client *c = &stage.clients[what >> 5];
    switch ((int)step) {
    case STEP_OPEN:
        open_client(c, amount);
        break;
    case STEP_LOGIN:
        login(c, amount);
        break;
    case STEP_PACKETS:
        send_packets(c, amount, read_u8(program));
        break;
    case STEP_FRAME:
        say_frame(c, program, amount);
        break;
    case STEP_SAY:
        say(c, program, amount, client_say_strange);
        break;
    case STEP_SAY_RAW:
        say(c, program, amount, client_say_raw);
        break;
    case STEP_ASK:
        ask(c, amount);
        break;
    case STEP_PING:
        ping(c, amount);
        break;
    default:
        if (step >= STEP_FAIL_ACCEPTS) {
            run_relay_step(step, what >> 5, amount);
        } else if (c->conn >= 0) {
            run_conn_step(c, step, amount);
        }
    }
    if (!corked) {
        stage_run(ROUNDS);
    }
}

/* Its first two bytes: the rules, and what else there is. */
static void run_program(struct reader *program)
{
    uint8_t rules = read_u8(program);
    uint8_t other = read_u8(program);
    stage.log.level = other & 1 ? LOG_TRACE : LOG_ERROR;
    mem_fail_after(other & 2 ? other >> 2 : 0);
    stage_start(rules);
    mem_fail_after(0);
    while (reader_left(program) >= 2) {
        run_step(program);
    }
    if (!(other & 2)) {
        stage_settle();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static bool prepared;
    struct reader program = reader_of(data, len);
    if (!prepared) {
        clients_prepare();
        prepared = true;
    }
    corked = false;
    said = 0;
    serial = 0;
    stage_open();
    run_program(&program);
    stage_close();
    return 0;
}
