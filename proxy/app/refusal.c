#include "app/refusal.h"

#include <base/mem.h>

#include <stdbool.h>

struct refusal {
    uv_stream_t *server;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    bool busy;  /* the handle is in use, */
    bool again; /* and somebody else waits, */
    bool freed; /* or nobody does any more */
};

struct refusal *refusal_new(uv_stream_t *server)
{
    struct refusal *r = mem_new(1, sizeof(*r));
    if (r) {
        r->server = server;
    }
    return r;
}

static void on_closed(uv_handle_t *handle)
{
    struct refusal *r = handle->data;
    r->busy = false;
    if (r->freed) {
        mem_free(r);
    } else if (r->again) {
        r->again = false;
        refusal_take(r);
    }
}

void refusal_take(struct refusal *r)
{
    if (r->busy) {
        r->again = true;
        return;
    }
    /* Neither makes a socket yet: they cannot fail. */
    (void)(r->server->type == UV_TCP ? uv_tcp_init(r->server->loop, &r->uv.tcp)
                                     : uv_pipe_init(r->server->loop, &r->uv.pipe, 0));
    r->uv.handle.data = r;
    r->busy = true;
    (void)uv_accept(r->server, &r->uv.stream);
    uv_close(&r->uv.handle, on_closed);
}

void refusal_free(struct refusal *r)
{
    if (r && r->busy) {
        r->freed = true;
    } else {
        mem_free(r);
    }
}
