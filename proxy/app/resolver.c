#include "app/resolver.h"

#include "app/tcp.h"
#include "policy/host.h"

#include <base/clock.h>
#include <base/mem.h>

#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/queue.h>

enum { NAME_MAX_LEN = 255, STACK_BYTES = 512 * 1024 };

#define IDLE_NS (10 * NS_PER_S)

enum job_state { JOB_WAITING, JOB_RUNNING, JOB_DONE };

struct resolver_asker {
    LIST_ENTRY(resolver_asker) entry;
    struct job *job;
    resolver_done *done;
    void *user;
};

/* One question. It belongs to the loop, but for the fields below while a thread has it. */
struct job {
    struct resolver_core *core;
    LIST_ENTRY(job) entry; /* all of them: the loop's list */
    TAILQ_ENTRY(job) turn; /* waiting, running or done: under the lock */
    LIST_HEAD(, resolver_asker) askers;
    char name[NAME_MAX_LEN + 1];
    size_t owner;
    uint8_t family;
    enum job_state state; /* under the lock */
    struct addr addrs[RESOLVER_ADDRS];
    size_t count;
};

TAILQ_HEAD(jobs, job);

/* A thread. Under the lock. */
struct worker {
    struct resolver_core *core;
    pthread_t id;
    bool used, busy;
};

/* Shared with the threads; the last who holds it frees it. */
struct resolver_core {
    uv_mutex_t lock;
    uv_cond_t work;
    uv_async_t wake;
    struct jobs waiting, running, done;
    size_t waiting_count, threads, idle;
    size_t holders; /* the loop, and each thread */
    bool stopped;
    LIST_HEAD(, job) all; /* the loop's */
    size_t count;
    struct worker workers[RESOLVER_THREADS];
};

size_t resolver_localhost(const char *name, struct addr addrs[RESOLVER_ADDRS])
{
    if (!host_is_in(name, "localhost")) {
        return 0;
    }
    addrs[0] = addr_ipv4(127, 0, 0, 1, 0);
    addrs[1] = (struct addr){.family = ADDR_IPV6, .ip = {[15] = 1}};
    return 2;
}

/* --- threads --------------------------------------------------------------------------------- */

static bool has_share(const struct resolver_core *c, size_t owner)
{
    const struct job *j;
    size_t own = 0, all = 0;
    TAILQ_FOREACH (j, &c->running, turn) {
        own += j->owner == owner;
        all++;
    }
    return own < RESOLVER_PER_OWNER &&
           (owner == RESOLVER_FRONT || all < RESOLVER_THREADS - RESOLVER_THREADS_FRONT);
}

static struct job *next_job(struct resolver_core *c)
{
    struct job *j;
    TAILQ_FOREACH (j, &c->waiting, turn) {
        if (has_share(c, j->owner)) {
            return j;
        }
    }
    return NULL;
}

static int family_of(const struct job *j)
{
    return j->family == ADDR_IPV4 ? AF_INET : j->family == ADDR_IPV6 ? AF_INET6 : AF_UNSPEC;
}

static void look_up(struct job *j)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = family_of(j)};
    struct addrinfo *list = NULL;
    if (getaddrinfo(j->name, NULL, &hints, &list) != 0) {
        return;
    }
    for (const struct addrinfo *i = list; i && j->count < RESOLVER_ADDRS; i = i->ai_next) {
        struct addr a = tcp_addr(i->ai_addr);
        if (a.family != ADDR_NONE) {
            j->addrs[j->count++] = addr_normalize(&a);
        }
    }
    freeaddrinfo(list);
}

/* With the lock held; without it afterwards. */
static void let_go(struct resolver_core *c)
{
    bool last = --c->holders == 0;
    uv_mutex_unlock(&c->lock);
    if (last) {
        uv_cond_destroy(&c->work);
        uv_mutex_destroy(&c->lock);
        mem_free(c);
    }
}

static void unqueue(struct resolver_core *c, struct job *j)
{
    TAILQ_REMOVE(&c->waiting, j, turn);
    c->waiting_count--;
}

/* With the lock held, as before. */
static void run(struct resolver_core *c, struct job *j)
{
    unqueue(c, j);
    TAILQ_INSERT_TAIL(&c->running, j, turn);
    j->state = JOB_RUNNING;
    uv_mutex_unlock(&c->lock);
    look_up(j);
    uv_mutex_lock(&c->lock);
    TAILQ_REMOVE(&c->running, j, turn);
    if (c->stopped) {
        mem_free(j); /* nobody else knows it any more */
        return;
    }
    j->state = JOB_DONE;
    TAILQ_INSERT_TAIL(&c->done, j, turn);
    (void)uv_async_send(&c->wake);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct resolver_core *c = w->core;
    bool fresh = true; /* nobody has waited yet: there is work, or a thread too many */
    uv_mutex_lock(&c->lock);
    while (!c->stopped) {
        struct job *j = next_job(c);
        if (j) {
            w->busy = true;
            run(c, j);
            w->busy = false;
            fresh = true;
        } else if (fresh) {
            c->idle++;
            fresh = uv_cond_timedwait(&c->work, &c->lock, IDLE_NS) == 0;
            c->idle--;
        } else {
            break;
        }
    }
    if (!c->stopped) { /* else whoever stopped has seen to it */
        (void)pthread_detach(w->id);
        w->used = false;
        c->threads--;
    }
    let_go(c);
    return NULL;
}

static struct worker *free_worker(struct resolver_core *c)
{
    struct worker *w = c->workers;
    while (w->used) {
        w++;
    }
    return w;
}

/* With the lock held, and room for one more. Its signals are the loop's. */
static bool start_thread(struct resolver_core *c)
{
    struct worker *w = free_worker(c);
    pthread_attr_t attr;
    sigset_t all, before;
    if (pthread_attr_init(&attr) != 0) {
        return false;
    }
    (void)pthread_attr_setstacksize(&attr, STACK_BYTES);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    w->core = c;
    w->used = pthread_create(&w->id, &attr, work, w) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    return w->used;
}

/* --- the loop -------------------------------------------------------------------------------- */

static void forget_job(struct resolver_core *c, struct job *j)
{
    LIST_REMOVE(j, entry);
    c->count--;
}

static void free_askers(struct job *j)
{
    struct resolver_asker *a;
    while ((a = LIST_FIRST(&j->askers)) != NULL) {
        LIST_REMOVE(a, entry);
        mem_free(a);
    }
}

static void on_wake(uv_async_t *wake)
{
    struct resolver_core *c = wake->data;
    for (;;) {
        uv_mutex_lock(&c->lock);
        struct job *j = c->stopped ? NULL : TAILQ_FIRST(&c->done);
        if (j) {
            TAILQ_REMOVE(&c->done, j, turn);
        }
        uv_mutex_unlock(&c->lock);
        if (!j) {
            return;
        }
        forget_job(c, j); /* who asks again in there asks anew */
        struct resolver_asker *a;
        while (!c->stopped && (a = LIST_FIRST(&j->askers)) != NULL) {
            resolver_done *done = a->done;
            void *user = a->user;
            LIST_REMOVE(a, entry);
            mem_free(a);
            done(user, j->family, j->addrs, j->count);
        }
        free_askers(j);
        mem_free(j);
    }
}

static struct resolver_core *core_new(uv_loop_t *loop)
{
    struct resolver_core *c = mem_new(1, sizeof(*c));
    if (!c) {
        return NULL;
    }
    TAILQ_INIT(&c->waiting);
    TAILQ_INIT(&c->running);
    TAILQ_INIT(&c->done);
    LIST_INIT(&c->all);
    c->holders = 1;
    if (uv_mutex_init(&c->lock) != 0) {
        goto no_lock;
    }
    if (uv_cond_init(&c->work) != 0) {
        goto no_work;
    }
    if (uv_async_init(loop, &c->wake, on_wake) != 0) {
        goto no_wake;
    }
    c->wake.data = c;
    return c;
no_wake:
    uv_cond_destroy(&c->work);
no_work:
    uv_mutex_destroy(&c->lock);
no_lock:
    mem_free(c);
    return NULL;
}

void resolver_init(struct resolver *r, uv_loop_t *loop)
{
    *r = (struct resolver){.loop = loop};
}

static void on_closed(uv_handle_t *handle)
{
    struct resolver_core *c = handle->data;
    uv_mutex_lock(&c->lock);
    let_go(c);
}

/* Idle threads end at once and are waited for. Those with a question are let go of: the system
 * gives no way to break it off, and nobody wants to wait for it. */
static size_t part_with_threads(struct resolver_core *c, pthread_t idle[RESOLVER_THREADS])
{
    size_t n = 0;
    for (struct worker *w = c->workers; w < c->workers + RESOLVER_THREADS; w++) {
        if (w->used && w->busy) {
            (void)pthread_detach(w->id);
        } else if (w->used) {
            idle[n++] = w->id;
        }
    }
    return n;
}

void resolver_stop(struct resolver *r)
{
    pthread_t idle[RESOLVER_THREADS];
    struct resolver_core *c = r->core;
    struct job *j;
    if (!c) {
        return;
    }
    r->core = NULL;
    uv_mutex_lock(&c->lock);
    c->stopped = true;
    while ((j = LIST_FIRST(&c->all)) != NULL) {
        LIST_REMOVE(j, entry);
        free_askers(j);
        if (j->state != JOB_RUNNING) { /* else its thread frees it */
            mem_free(j);
        }
    }
    size_t n = part_with_threads(c, idle);
    uv_cond_broadcast(&c->work);
    uv_mutex_unlock(&c->lock);
    while (n > 0) {
        (void)pthread_join(idle[--n], NULL);
    }
    uv_close((uv_handle_t *)&c->wake, on_closed);
}

static bool is_waiting(struct job *j)
{
    uv_mutex_lock(&j->core->lock);
    bool waiting = j->state == JOB_WAITING;
    uv_mutex_unlock(&j->core->lock);
    return waiting;
}

static struct job *find_job(struct resolver_core *c, const struct resolver_question *q)
{
    struct job *j;
    LIST_FOREACH (j, &c->all, entry) {
        if (j->family == q->family && strcmp(j->name, q->name) == 0 &&
            (j->owner == q->owner || !is_waiting(j))) {
            return j;
        }
    }
    return NULL;
}

static bool has_room(const struct resolver_core *c, size_t owner)
{
    const struct job *j;
    size_t own = 0;
    if (owner == RESOLVER_FRONT) {
        return c->count < RESOLVER_QUESTIONS;
    }
    LIST_FOREACH (j, &c->all, entry) {
        own += j->owner == owner;
    }
    return own < RESOLVER_QUESTIONS_PER_PEER &&
           c->count < RESOLVER_QUESTIONS - RESOLVER_QUESTIONS_FRONT;
}

/* Somebody idle takes it, or a new thread does, or the next that is free. */
static bool queue(struct resolver_core *c, struct job *j)
{
    uv_mutex_lock(&c->lock);
    TAILQ_INSERT_TAIL(&c->waiting, j, turn);
    c->waiting_count++;
    uv_cond_signal(&c->work);
    if (c->waiting_count > c->idle && c->threads < RESOLVER_THREADS && start_thread(c)) {
        c->threads++;
        c->holders++;
    }
    bool hopeless = c->threads == 0;
    if (hopeless) {
        unqueue(c, j);
    }
    uv_mutex_unlock(&c->lock);
    return !hopeless;
}

static struct job *add_job(struct resolver_core *c, const struct resolver_question *q)
{
    size_t len = strlen(q->name);
    struct job *j = NULL;
    if (len <= NAME_MAX_LEN && has_room(c, q->owner)) {
        j = mem_new(1, sizeof(*j));
    }
    if (!j) {
        return NULL;
    }
    memcpy(j->name, q->name, len + 1);
    j->core = c;
    j->owner = q->owner;
    j->family = q->family;
    LIST_INIT(&j->askers);
    if (!queue(c, j)) {
        mem_free(j);
        return NULL;
    }
    LIST_INSERT_HEAD(&c->all, j, entry);
    c->count++;
    return j;
}

struct resolver_asker *resolver_ask(struct resolver *r, const struct resolver_question *q,
                                    resolver_done *done, void *user)
{
    struct resolver_asker *a = mem_new(1, sizeof(*a));
    r->core = r->core ? r->core : core_new(r->loop);
    struct job *j = NULL;
    if (a && r->core) {
        j = find_job(r->core, q);
        j = j ? j : add_job(r->core, q);
    }
    if (!j) {
        r->refused++;
        mem_free(a);
        return NULL;
    }
    a->job = j;
    a->done = done;
    a->user = user;
    LIST_INSERT_HEAD(&j->askers, a, entry);
    return a;
}

/* A question that nobody waits for, and that no thread has yet, is not asked. */
static void drop_if_unwanted(struct job *j)
{
    struct resolver_core *c = j->core;
    if (!LIST_EMPTY(&j->askers)) {
        return;
    }
    uv_mutex_lock(&c->lock);
    bool waiting = j->state == JOB_WAITING;
    if (waiting) {
        unqueue(c, j);
    }
    uv_mutex_unlock(&c->lock);
    if (waiting) {
        forget_job(c, j);
        mem_free(j);
    }
}

void resolver_forget(struct resolver_asker *a)
{
    struct job *j = a->job;
    LIST_REMOVE(a, entry);
    mem_free(a);
    drop_if_unwanted(j);
}
