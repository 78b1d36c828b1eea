/* Who is here: keys, their connections, and who has to hear when one leaves. */
#include "relay/relay_server_internal.h"

#include <base/err.h>

#include <string.h>

struct relay_key *server_find_key(const struct relay_server *s, const uint8_t key[DERP_KEY])
{
    struct relay_key *found = NULL;
    HASH_FIND(hh, s->keys, key, DERP_KEY, found);
    return found;
}

static struct relay_key *make_key(struct relay_server *s, const uint8_t key[DERP_KEY])
{
    struct relay_key *k = mem_new(1, sizeof(*k));
    if (!k) {
        return NULL;
    }
    memcpy(k->key, key, DERP_KEY);
    k->source.serial = ++s->next_serial;
    TAILQ_INIT(&k->conns);
    LIST_INIT(&k->source.contacts);
    HASH_ADD_KEYPTR(hh, s->keys, k->key, DERP_KEY, k);
    if (!k->hh.tbl) {
        mem_free(k);
        return NULL;
    }
    server_cluster_arrived(s, k);
    return k;
}

int server_login(struct relay_server *s, struct relay_conn *c, const uint8_t key[DERP_KEY])
{
    struct relay_key *k = server_find_key(s, key);
    if (!k) {
        k = make_key(s, key);
    }
    if (!k) {
        return ERR_NO_MEMORY;
    }
    TAILQ_INSERT_TAIL(&k->conns, c, of_key);
    k->conns_count++;
    k->active = c;
    c->key = k;
    s->stats.clients++;
    s->stats.logins++;
    server_cluster_login(s, k);
    if (k->conns_count > SERVER_KEY_CONNS_MAX) {
        server_kill(s, TAILQ_FIRST(&k->conns), RELAY_CLOSE_DUPLICATE);
    }
    return 0;
}

static void forget_contact(struct relay_server *s, struct contact *t)
{
    LIST_REMOVE(t, of_key);
    LIST_REMOVE(t, of_conn);
    t->conn->contacts_count--;
    HASH_DEL(s->contacts, t);
    s->stats.contacts--;
    mem_free(t);
}

void server_move_contacts(struct contact_source *to, struct contact_source *from)
{
    struct contact *t;
    to->serial = from->serial; /* their hash knows them by it */
    while ((t = LIST_FIRST(&from->contacts))) {
        LIST_REMOVE(t, of_key);
        LIST_INSERT_HEAD(&to->contacts, t, of_key);
    }
}

void server_end_contacts(struct relay_server *s, struct contact_source *from,
                         const uint8_t key[DERP_KEY], bool quietly)
{
    struct contact *t;
    while ((t = LIST_FIRST(&from->contacts))) {
        if (!quietly) {
            server_send_gone(s, t->conn, key, DERP_GONE_DISCONNECTED);
        }
        forget_contact(s, t);
    }
}

/* The last connection of a key is gone. */
static void free_key(struct relay_server *s, struct relay_key *k)
{
    HASH_DEL(s->keys, k);
    server_cluster_left(s, k);
    server_end_contacts(s, &k->source, k->key, false);
    mem_free(k);
}

void server_logout(struct relay_server *s, struct relay_conn *c)
{
    struct relay_key *k = c->key;
    struct contact *t;
    while ((t = LIST_FIRST(&c->contacts))) {
        forget_contact(s, t);
    }
    if (!k) {
        return;
    }
    c->key = NULL;
    s->stats.clients--;
    TAILQ_REMOVE(&k->conns, c, of_key);
    k->conns_count--;
    if (k->active == c) {
        k->active = TAILQ_LAST(&k->conns, relay_conns);
    }
    if (k->conns_count == 0) {
        free_key(s, k);
    }
}

void server_note_contact(struct relay_server *s, struct contact_source *from, struct relay_conn *to)
{
    struct contact *t = NULL;
    struct contact probe = {.ids = {from->serial, to->id}};
    HASH_FIND(hh, s->contacts, &probe.ids, sizeof(probe.ids), t);
    if (t) {
        return;
    }
    if (to->contacts_count >= s->config.limits.contacts_max ||
        s->stats.contacts >= s->config.limits.contacts_total_max) {
        s->stats.contacts_refused++;
        return;
    }
    t = mem_new(1, sizeof(*t));
    if (!t) {
        s->stats.contacts_refused++;
        return;
    }
    *t = (struct contact){.ids = probe.ids, .conn = to};
    HASH_ADD_KEYPTR(hh, s->contacts, &t->ids, sizeof(t->ids), t);
    if (!t->hh.tbl) {
        s->stats.contacts_refused++;
        mem_free(t);
        return;
    }
    LIST_INSERT_HEAD(&from->contacts, t, of_key);
    LIST_INSERT_HEAD(&to->contacts, t, of_conn);
    s->stats.contacts++;
    to->contacts_count++;
}
