/* Captive portals: when no relay of ours is to be had, is it because somebody has to log in?
 * (relay/portal.h has the machine.) */
#include "node/node_internal.h"

static void hurry_own(struct node *n, uint64_t now)
{
    for (size_t i = 0; i < n->relay_count; i++) {
        if (n->relays[i].own) {
            node_hurry_relay(n, i, now);
        }
    }
}

/* What came of it. ASK and CLOSE are the shell's to hear: node_portal_event. */
static void settle(struct node *n, uint64_t now)
{
    enum portal_event ev;
    while (portal_event(&n->portal, &ev)) {
        switch (ev) {
        case PORTAL_EV_ASK:
            n->portal_ask = true;
            break;
        case PORTAL_EV_CLOSE:
            n->portal_ask = false;
            n->portal_close = true;
            break;
        case PORTAL_EV_FOUND:
            LOG_AT(n->log, LOG_WARN, "relay", "portal",
                   "relay=%s status=%u why=\"somebody else answers in its place: log in there, "
                   "with a browser\"",
                   n->relays[n->portal.relay].name, n->portal.status);
            break;
        case PORTAL_EV_GONE:
            LOG_AT(n->log, LOG_INFO, "relay", "portal_gone", "relay=%s",
                   n->relays[n->portal.relay].name);
            break;
        case PORTAL_EV_ASKED:
            hurry_own(n, now);
            break;
        }
    }
}

void node_portal_relay(struct node *n, size_t relay, bool up, uint64_t now)
{
    if (!n->relays[relay].own) {
        return;
    }
    if (up) {
        portal_clear(&n->portal);
    } else if (!n->relays[relay].proxied && n->home.home >= n->relay_count) {
        portal_suspect(&n->portal, relay, now);
    }
    settle(n, now);
}

void node_portal_moved(struct node *n, uint64_t now)
{
    portal_moved(&n->portal, now);
    settle(n, now);
}

void node_portal_tick(struct node *n, uint64_t now)
{
    portal_tick(&n->portal, now);
    settle(n, now);
}

bool node_portal_event(struct node *n, struct node_event *ev)
{
    if (!n->portal_close && !n->portal_ask) {
        return false;
    }
    bool close = n->portal_close;
    *ev = (struct node_event){.type = close ? NODE_EVENT_PORTAL_CLOSE : NODE_EVENT_PORTAL_ASK,
                              .relay = n->portal.relay};
    n->portal_close = false;
    n->portal_ask = close && n->portal_ask;
    return true;
}

/* --- the shell's --- */

int node_portal_request(struct node *n, const char *host, char out[NODE_PORTAL_REQUEST_MAX])
{
    _Static_assert((int)NODE_PORTAL_REQUEST_MAX == (int)PORTAL_REQUEST_MAX, "node.h has room");
    return portal_request(&n->portal, host, out);
}

void node_portal_input(struct node *n, const uint8_t *data, size_t len, uint64_t now)
{
    portal_input(&n->portal, data, len, now);
    settle(n, now);
}

void node_portal_closed(struct node *n, uint64_t now)
{
    portal_closed(&n->portal, now);
    settle(n, now);
}
