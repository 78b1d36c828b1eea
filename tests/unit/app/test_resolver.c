/* Names through a resolver that hangs when it is told to: this file's own getaddrinfo takes the
 * place of the system's. */
#include "app/resolver.h"

#include "unit/app/world.h"

#include <base/mem.h>

#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t let_go = PTHREAD_COND_INITIALIZER;
static bool hanging;
static unsigned asked, hung; /* calls; those that hang now */

static void hang(void)
{
    (void)pthread_mutex_lock(&lock);
    hung++;
    while (hanging) {
        (void)pthread_cond_wait(&let_go, &lock);
    }
    hung--;
    (void)pthread_mutex_unlock(&lock);
}

static void set_hanging(bool on)
{
    (void)pthread_mutex_lock(&lock);
    hanging = on;
    (void)pthread_cond_broadcast(&let_go);
    (void)pthread_mutex_unlock(&lock);
}

static unsigned read_locked(const unsigned *n)
{
    (void)pthread_mutex_lock(&lock);
    unsigned value = *n;
    (void)pthread_mutex_unlock(&lock);
    return value;
}

/* One address for each family, none for names that begin with "no". */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    (void)service;
    (void)pthread_mutex_lock(&lock);
    asked++;
    (void)pthread_mutex_unlock(&lock);
    if (strncmp(name, "hang", 4) == 0) {
        hang();
    }
    if (strncmp(name, "no", 2) == 0) {
        return EAI_NONAME;
    }
    struct addr a = addr_ipv4(192, 0, 2, 1, 0);
    if (hints->ai_family == AF_INET6) {
        a = (struct addr){.family = ADDR_IPV6, .ip = {0x20, 0x01, [15] = 1}};
    }
    struct addrinfo *i = calloc(1, sizeof(*i) + sizeof(struct sockaddr_storage));
    struct sockaddr_storage *sa = (struct sockaddr_storage *)(i + 1);
    if (!i) {
        return EAI_MEMORY;
    }
    tcp_sockaddr(&a, sa);
    i->ai_addr = (struct sockaddr *)sa;
    *out = i;
    return 0;
}

void freeaddrinfo(struct addrinfo *list)
{
    free(list);
}

struct answer {
    unsigned calls;
    uint8_t family;
    size_t count;
    struct addr first;
};

static void on_done(void *user, uint8_t family, const struct addr *addrs, size_t count)
{
    struct answer *a = user;
    a->calls++;
    a->family = family;
    a->count = count;
    if (count > 0) {
        a->first = addrs[0];
    }
}

static struct resolver_asker *ask(struct resolver *r, size_t owner, const char *name,
                                  struct answer *a)
{
    const struct resolver_question q = {.name = name, .owner = owner, .family = ADDR_IPV4};
    return resolver_ask(r, &q, on_done, a);
}

static void setup(struct world *w, struct resolver *r)
{
    world_init(w);
    resolver_init(r, &w->loop);
    set_hanging(true);
    asked = 0;
}

/* Hanging questions outlive their resolver; the next test shall not meet them. */
static void teardown(struct world *w, struct resolver *r)
{
    resolver_stop(r);
    world_deinit(w);
    set_hanging(false);
    while (read_locked(&hung) > 0) {
        (void)sched_yield();
    }
}

static void each_family_is_a_question_of_its_own(void **state)
{
    (void)state;
    struct world w;
    struct resolver r;
    struct answer v4 = {0}, v6 = {0}, none = {0};
    const struct resolver_question six = {.name = "x", .family = ADDR_IPV6};
    setup(&w, &r);
    assert_non_null(ask(&r, 0, "x", &v4));
    assert_non_null(resolver_ask(&r, &six, on_done, &v6));
    assert_non_null(ask(&r, 0, "none", &none));
    WORLD_UNTIL(&w, v4.calls && v6.calls && none.calls);
    assert_int_equal(v4.family, ADDR_IPV4);
    assert_int_equal(v4.count, 1);
    assert_int_equal(v4.first.family, ADDR_IPV4);
    assert_int_equal(v6.family, ADDR_IPV6);
    assert_int_equal(v6.first.family, ADDR_IPV6);
    assert_int_equal(none.count, 0);
    teardown(&w, &r);
}

static void equal_questions_are_asked_once(void **state)
{
    (void)state;
    struct world w;
    struct resolver r;
    struct answer a[5] = {{0}};
    struct resolver_asker *askers[5];
    setup(&w, &r);
    for (size_t i = 0; i < 5; i++) {
        askers[i] = ask(&r, i / 2, "hang", &a[i]);
        assert_non_null(askers[i]);
        WORLD_UNTIL(&w, i == 0 || read_locked(&hung) == 1);
    }
    resolver_forget(askers[1]);
    set_hanging(false);
    WORLD_UNTIL(&w, a[0].calls + a[2].calls + a[3].calls + a[4].calls == 4);
    assert_int_equal(read_locked(&asked), 1);
    assert_int_equal(a[1].calls, 0);
    teardown(&w, &r);
}

/* A peer with any number of names that hang: the others do not notice. */
static void who_hangs_does_not_delay_others(void **state)
{
    (void)state;
    struct world w;
    struct resolver r;
    struct answer hopeless = {0}, a = {0}, late = {0};
    char name[32];
    setup(&w, &r);
    for (unsigned i = 0; i < 500; i++) {
        (void)snprintf(name, sizeof(name), "hang%u", i);
        assert_non_null(ask(&r, 7, name, &hopeless));
    }
    WORLD_UNTIL(&w, read_locked(&hung) == RESOLVER_PER_OWNER);
    assert_non_null(ask(&r, 8, "x", &a));
    assert_non_null(ask(&r, RESOLVER_FRONT, "y", &a));
    assert_non_null(ask(&r, 7, "z", &late));
    WORLD_UNTIL(&w, a.calls == 2);
    assert_int_equal(read_locked(&hung), RESOLVER_PER_OWNER);
    assert_int_equal(hopeless.calls + late.calls, 0);
    set_hanging(false);
    WORLD_UNTIL(&w, late.calls == 1 && hopeless.calls == 500);
    teardown(&w, &r);
}

static void there_is_a_ceiling_and_forgotten_questions_make_room(void **state)
{
    (void)state;
    struct world w;
    struct resolver r;
    struct answer a = {0};
    struct resolver_asker *last = NULL;
    char name[32];
    setup(&w, &r);
    for (unsigned i = 0; i < RESOLVER_QUESTIONS; i++) {
        bool front = i >= RESOLVER_QUESTIONS - RESOLVER_QUESTIONS_FRONT;
        (void)snprintf(name, sizeof(name), "hang%u", i);
        last = ask(&r, front ? RESOLVER_FRONT : i / RESOLVER_QUESTIONS_PER_PEER, name, &a);
        assert_non_null(last);
    }
    assert_null(ask(&r, RESOLVER_FRONT, "x", &a));
    assert_int_equal(r.refused, 1);
    resolver_forget(last);
    last = ask(&r, RESOLVER_FRONT, "x", &a);
    assert_non_null(last);
    set_hanging(false);
    WORLD_UNTIL(&w, a.calls == RESOLVER_QUESTIONS);
    teardown(&w, &r);
}

/* Nor is the ceiling one peer's to fill, or the same name to be put behind its own. */
static void a_peer_takes_no_questions_from_others(void **state)
{
    (void)state;
    struct world w;
    struct resolver r;
    struct answer hopeless = {0}, a = {0};
    char name[32];
    setup(&w, &r);
    for (unsigned i = 1; i < RESOLVER_QUESTIONS_PER_PEER; i++) {
        (void)snprintf(name, sizeof(name), "hang%u", i);
        assert_non_null(ask(&r, 7, name, &hopeless));
    }
    assert_non_null(ask(&r, 7, "x", &hopeless));
    assert_null(ask(&r, 7, "y", &hopeless));
    assert_int_equal(r.refused, 1);
    WORLD_UNTIL(&w, read_locked(&hung) == RESOLVER_PER_OWNER);
    assert_non_null(ask(&r, RESOLVER_FRONT, "x", &a));
    assert_non_null(ask(&r, 8, "y", &a));
    WORLD_UNTIL(&w, a.calls == 2);
    assert_int_equal(hopeless.calls, 0);
    teardown(&w, &r);
}

/* Several of them together take nothing from the front. */
static void peers_leave_something_for_the_front(void **state)
{
    (void)state;
    struct world w;
    struct resolver r;
    struct answer hopeless = {0}, a = {0};
    char name[32];
    unsigned room = RESOLVER_QUESTIONS - RESOLVER_QUESTIONS_FRONT;
    setup(&w, &r);
    for (unsigned i = 0; i < room; i++) {
        (void)snprintf(name, sizeof(name), "hang%u", i);
        assert_non_null(ask(&r, i % 8, name, &hopeless));
    }
    assert_null(ask(&r, 8, "y", &a));
    WORLD_UNTIL(&w, read_locked(&hung) == RESOLVER_THREADS - RESOLVER_THREADS_FRONT);
    assert_non_null(ask(&r, RESOLVER_FRONT, "x", &a));
    WORLD_UNTIL(&w, a.calls == 1);
    assert_int_equal(hopeless.calls, 0);
    teardown(&w, &r);
}

/* Also with a question that hangs: nobody waits for it, and nobody is called. */
static void stopping_waits_for_nothing(void **state)
{
    (void)state;
    struct world w;
    struct resolver r;
    struct answer a = {0};
    setup(&w, &r);
    assert_non_null(ask(&r, 1, "hang", &a));
    assert_non_null(ask(&r, 1, "x", &a));
    WORLD_UNTIL(&w, read_locked(&hung) == 1 && read_locked(&asked) == 2);
    unsigned before = a.calls;
    resolver_stop(&r);
    assert_null(r.core);
    teardown(&w, &r);
    assert_int_equal(a.calls, before);
}

static void memory_that_ends_refuses(void **state)
{
    (void)state;
    struct world w;
    struct resolver r;
    struct answer a = {0};
    setup(&w, &r);
    for (size_t n = 1; n <= 3; n++) {
        mem_fail_after(n);
        assert_null(ask(&r, 1, "x", &a));
        mem_fail_after(0);
    }
    assert_int_equal(r.refused, 3);
    assert_non_null(ask(&r, 1, "x", &a));
    WORLD_UNTIL(&w, a.calls == 1);
    teardown(&w, &r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_family_is_a_question_of_its_own),
        cmocka_unit_test(equal_questions_are_asked_once),
        cmocka_unit_test(who_hangs_does_not_delay_others),
        cmocka_unit_test(a_peer_takes_no_questions_from_others),
        cmocka_unit_test(peers_leave_something_for_the_front),
        cmocka_unit_test(there_is_a_ceiling_and_forgotten_questions_make_room),
        cmocka_unit_test(stopping_waits_for_nothing),
        cmocka_unit_test(memory_that_ends_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
