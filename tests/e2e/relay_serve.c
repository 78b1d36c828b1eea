/* Our relay, open to every key, on a port of 127.0.0.1 that it prints; until stdin ends. A byte
 * that is written there begins its end: clients have ten seconds to leave. */
#include "loop/relay_uv.h"

#include <base/clock.h>

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define DRAIN_NS (10 * NS_PER_S)

static struct relay_uv *relay; /* NULL once it drains */

static void fill(void *state, void *out, size_t len)
{
    (void)state;
    randombytes_buf(out, len);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    static char buffer[64];
    (void)handle;
    (void)suggested;
    *out = uv_buf_init(buffer, sizeof(buffer));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    (void)buf;
    if (n > 0 && relay) {
        relay_uv_drain(relay, DRAIN_NS, NULL, NULL);
        relay = NULL;
    }
    if (n < 0) {
        uv_close((uv_handle_t *)stream, NULL);
        if (relay) {
            relay_uv_stop(relay, NULL, NULL);
        }
    }
}

int main(void)
{
    struct addr where = addr_ipv4(127, 0, 0, 1, 0);
    struct relay_uv_config config = {
        .listen = &where,
        .listen_count = 1,
        .server = {.open = true, .rng = {.fill = fill}},
    };
    uv_loop_t loop;
    uv_pipe_t in;
    if (sodium_init() < 0 || uv_loop_init(&loop) || uv_pipe_init(&loop, &in, 0) ||
        uv_pipe_open(&in, 0)) {
        return 1;
    }
    randombytes_buf(config.server.secret, sizeof(config.server.secret));
    if (relay_uv_start(&loop, &config, &relay) || relay_uv_address(relay, 0, &where) ||
        uv_read_start((uv_stream_t *)&in, on_alloc, on_read)) {
        return 1;
    }
    printf("%u\n", (unsigned)where.port);
    (void)fflush(stdout);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop) ? 1 : 0;
}
