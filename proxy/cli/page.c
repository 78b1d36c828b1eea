#include "cli/page.h"

#include "app/tcp.h"
#include "control/http.h"

#include <base/mem.h>

#include <string.h>

enum { BACKLOG = 64 };

const char page_text[] =
    "<!doctype html>\n"
    "<html lang=\"en\">\n"
    "<head>\n"
    "<meta charset=\"utf-8\">\n"
    "<title>home, through Adit</title>\n"
    "<style>\n"
    "body { font: 18px/1.5 system-ui, sans-serif; max-width: 36em; margin: 4em auto; "
    "padding: 0 1em; }\n"
    "code { background: #eee; padding: 0 .3em; }\n"
    "</style>\n"
    "</head>\n"
    "<body>\n"
    "<h1>You are at home.</h1>\n"
    "<p>This page is served by the machine called <code>home</code>, on its own loopback address, "
    "which nothing but <code>home</code> itself can reach.</p>\n"
    "<p>It came to you through an encrypted session between two nodes of Adit. Your browser spoke "
    "SOCKS5 to the node <code>laptop</code>; the node <code>home</code> fetched the page, because "
    "its <code>allow</code> list says that <code>laptop</code> may.</p>\n"
    "</body>\n"
    "</html>\n";

struct page_server {
    struct pool *pool;
    uv_tcp_t tcp;
};

struct visitor {
    struct tcp *tcp;
    size_t len;
    bool answered;
    char in[CONTROL_HEAD_MAX];
};

static void drop(struct visitor *v)
{
    tcp_close(v->tcp);
    mem_free(v);
}

static size_t on_room(void *user, uint8_t **at)
{
    struct visitor *v = user;
    v->len = v->answered ? 0 : v->len;
    *at = (uint8_t *)v->in + v->len;
    return sizeof(v->in) - v->len;
}

static void answer(struct visitor *v, unsigned status)
{
    char out[CONTROL_ANSWER_HEAD_MAX + sizeof(page_text)];
    size_t body = status == 200 ? strlen(page_text) : 0;
    size_t head = control_answer_head(out, status, "text/html; charset=utf-8", body);
    memcpy(out + head, page_text, body);
    v->answered = true;
    if (tcp_send(v->tcp, out, head + body) < 0 || tcp_finish(v->tcp) != 0) {
        drop(v);
    }
}

static void on_read(void *user, ssize_t n)
{
    struct visitor *v = user;
    struct control_request r;
    if (n <= 0) {
        drop(v);
        return;
    }
    if (v->answered) {
        return;
    }
    v->len += (size_t)n;
    enum control_progress progress = control_parse_request(&r, v->in, v->len);
    if (progress != CONTROL_MORE) {
        answer(v, progress == CONTROL_BAD ? 400 : r.get ? 200 : 405);
    }
}

static void on_sent(void *user, int status)
{
    if (status < 0) {
        drop(user);
    }
}

static const struct tcp_ops tcp_ops = {
    .room = on_room,
    .read = on_read,
    .sent = on_sent,
};

static void on_connection(uv_stream_t *server, int status)
{
    struct page_server *s = server->data;
    struct tcp *tcp = status == 0 ? tcp_new(server->loop, s->pool) : NULL;
    if (!tcp) {
        return;
    }
    struct visitor *v = tcp_accept(tcp, server) == 0 ? mem_new(1, sizeof(*v)) : NULL;
    if (!v) {
        tcp_close(tcp);
        return;
    }
    v->tcp = tcp;
    tcp_attach(tcp, &tcp_ops, v);
    tcp_resume(tcp);
}

static void on_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void page_server_stop(struct page_server *s)
{
    uv_close((uv_handle_t *)&s->tcp, on_closed);
}

static int listen_at(uv_loop_t *loop, struct pool *pool, uint16_t port, struct page_server **out)
{
    struct page_server *s = mem_new(1, sizeof(*s));
    if (!s) {
        return UV_ENOMEM;
    }
    struct sockaddr_storage sa;
    struct addr at = addr_ipv4(127, 0, 0, 1, port);
    tcp_sockaddr(&at, &sa);
    s->pool = pool;
    (void)uv_tcp_init(loop, &s->tcp); /* makes no socket yet: cannot fail */
    s->tcp.data = s;
    int status = uv_tcp_bind(&s->tcp, (const struct sockaddr *)&sa, 0);
    if (status == 0) {
        status = uv_listen((uv_stream_t *)&s->tcp, BACKLOG, on_connection);
    }
    if (status != 0) {
        page_server_stop(s);
        return status;
    }
    *out = s;
    return 0;
}

int page_server_start(uv_loop_t *loop, struct pool *pool, uint16_t port, struct page_server **out)
{
    int status = listen_at(loop, pool, port, out);
    return status == UV_EADDRINUSE ? listen_at(loop, pool, 0, out) : status;
}

struct addr page_server_address(const struct page_server *s)
{
    struct sockaddr_storage sa = {0};
    int len = sizeof(sa);
    (void)uv_tcp_getsockname(&s->tcp, (struct sockaddr *)&sa, &len);
    return tcp_addr((const struct sockaddr *)&sa);
}
