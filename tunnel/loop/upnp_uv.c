#include "loop/upnp_uv.h"

#include "os/upnp.h"

#include <base/err.h>
#include <base/mem.h>

#include <errno.h>
#include <string.h>

/* One request, with copies of all it needs: it may outlive who asked. */
struct upnp_job {
    uv_work_t work;
    struct upnp_uv *owner; /* NULL once that is gone */
    bool remove;
    struct upnp_router router;
    struct addr gateway, client;
    uint16_t port; /* suggested, or to be removed */
    int result;
    struct upnp_mapping mapping;
};

struct upnp_uv {
    uv_loop_t *loop;
    uv_timer_t timer;
    const struct log *log;
    void (*changed)(void *user, const struct addr *external);
    void *user;
    struct upnp_job *job; /* NULL = none runs */
    bool wanted;
    bool stale; /* the job that runs is about a network that was left */
    struct addr gateway, client;
    struct upnp_router router;
    struct addr external; /* ADDR_NONE = not mapped */
    struct addr told;
    unsigned failures;
    uint64_t asked_ms;
};

static void go_on(struct upnp_uv *u);

/* --- telling --- */

static void tell(struct upnp_uv *u)
{
    char text[ADDR_TEXT_MAX];
    if (addr_equal(&u->told, &u->external)) {
        return;
    }
    u->told = u->external;
    bool mapped = u->external.family != ADDR_NONE;
    LOG_AT(u->log, LOG_INFO, "upnp", mapped ? "mapped" : "lost", "address=%s",
           mapped ? addr_format(&u->external, text) : "none");
    u->changed(u->user, mapped ? &u->external : NULL);
}

/* --- requests --- */

static void on_work(uv_work_t *work)
{
    struct upnp_job *j = work->data;
    if (j->remove) {
        j->result = upnp_unmap(&j->router, j->port);
        return;
    }
    j->result = j->router.control[0] != '\0' ? 0 : upnp_find(&j->router, &j->gateway, &j->client);
    if (j->result == 0) {
        j->result = upnp_map(&j->router, &j->client, j->port, &j->mapping);
    }
}

static void on_timer(uv_timer_t *timer)
{
    go_on(timer->data);
}

static void wait(struct upnp_uv *u, uint64_t ms)
{
    (void)uv_timer_start(&u->timer, on_timer, ms, 0);
}

static void on_mapped(struct upnp_uv *u, const struct upnp_job *j)
{
    uint64_t half_ms = j->mapping.lifetime_s * UINT64_C(500);
    u->failures = 0;
    u->router = j->router;
    u->external = j->mapping.external;
    wait(u, half_ms != 0 && half_ms < UPNP_RENEW_MS ? half_ms : UPNP_RENEW_MS);
}

/* A router that restarted may answer elsewhere: it is looked for again before it is given up. */
static void on_failed(struct upnp_uv *u, int err)
{
    LOG_AT(u->log, LOG_DEBUG, "upnp", "failed", "why=\"%s\" failures=%u", strerror(-err),
           u->failures);
    u->router.control[0] = '\0';
    if (u->external.family != ADDR_NONE && ++u->failures < UPNP_FAILURES_MAX) {
        wait(u, UPNP_AGAIN_MS);
        return;
    }
    u->failures = 0;
    u->external = (struct addr){0};
    if (err != -ENOSYS) {
        wait(u, UPNP_REST_MS);
    }
}

static void take(struct upnp_uv *u, const struct upnp_job *j, int result)
{
    bool stale = u->stale;
    u->stale = false;
    if (j->remove) {
        u->external = (struct addr){0};
    } else if (!stale && result == 0) {
        on_mapped(u, j);
    } else if (!stale) {
        on_failed(u, result);
    }
    if (!u->wanted) {
        (void)uv_timer_stop(&u->timer);
        go_on(u); /* what was just made goes */
        return;
    }
    tell(u);
    if (stale || j->remove) {
        go_on(u);
    }
}

static void on_done(uv_work_t *work, int status)
{
    struct upnp_job *j = work->data;
    struct upnp_uv *u = j->owner;
    if (u) {
        u->job = NULL;
        take(u, j, status < 0 ? -EIO : j->result);
    }
    mem_free(j);
}

/* Asks for the mapping if it is wanted, and else removes it. */
static void go_on(struct upnp_uv *u)
{
    bool remove = !u->wanted;
    if (u->job || (remove && u->external.family == ADDR_NONE)) {
        return;
    }
    struct upnp_job *j = mem_new(1, sizeof(*j));
    if (!j) {
        return;
    }
    j->owner = u;
    j->remove = remove;
    j->router = u->router;
    j->gateway = u->gateway;
    j->client = u->client;
    j->port = u->external.port != 0 ? u->external.port : u->client.port;
    j->work.data = j;
    if (uv_queue_work(u->loop, &j->work, on_work, on_done) != 0) {
        mem_free(j);
        return;
    }
    u->job = j;
    u->asked_ms = uv_now(u->loop);
}

/* --- life --- */

int upnp_uv_new(uv_loop_t *loop, const struct log *log,
                void (*changed)(void *user, const struct addr *external), void *user,
                struct upnp_uv **out)
{
    struct upnp_uv *u = mem_new(1, sizeof(*u));
    if (!u) {
        return ERR_NO_MEMORY;
    }
    u->loop = loop;
    u->log = log;
    u->changed = changed;
    u->user = user;
    (void)uv_timer_init(loop, &u->timer);
    u->timer.data = u;
    *out = u;
    return 0;
}

void upnp_uv_start(struct upnp_uv *u, const struct addr *gateway, const struct addr *client)
{
    if (u->wanted && addr_equal(&u->gateway, gateway) && addr_equal(&u->client, client)) {
        return;
    }
    u->wanted = true;
    u->stale = u->job != NULL;
    u->gateway = *gateway;
    u->client = *client;
    u->router.control[0] = '\0';
    u->external = (struct addr){0};
    tell(u);
    (void)uv_timer_stop(&u->timer);
    go_on(u);
}

void upnp_uv_check(struct upnp_uv *u)
{
    uint64_t since_ms = uv_now(u->loop) - u->asked_ms;
    if (u->wanted && !u->job) {
        wait(u, since_ms < UPNP_APART_MS ? UPNP_APART_MS - since_ms : 0);
    }
}

void upnp_uv_stop(struct upnp_uv *u)
{
    u->wanted = false;
    u->told = (struct addr){0};
    (void)uv_timer_stop(&u->timer);
    go_on(u);
}

bool upnp_uv_is_off(const struct upnp_uv *u)
{
    return !u->job && u->external.family == ADDR_NONE;
}

static void on_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void upnp_uv_free(struct upnp_uv *u)
{
    if (u->job) {
        u->job->owner = NULL;
        (void)uv_cancel((uv_req_t *)&u->job->work);
    }
    uv_close((uv_handle_t *)&u->timer, on_closed);
}
