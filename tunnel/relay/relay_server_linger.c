/* The end of who came for an HTTP answer: it has it, and gets the time to read it.
 *
 * Until it closes, but no longer than SERVER_LINGER_NS, it counts as one that has not logged in:
 * against clients_max, its address and pending_max. */
#include "relay/relay_server_internal.h"

void server_linger(struct relay_server *s, struct relay_conn *c)
{
    server_set_state(s, c, CONN_LINGER);
    server_http_close(c);
    c->handshake_end = time_add(s->now, SERVER_LINGER_NS);
    server_schedule(s, c, c->handshake_end);
    server_tell(s, c, TELL_FINISH);
}

/* Past the ceiling it is not read from any more. */
void server_linger_input(struct relay_server *s, struct relay_conn *c, size_t len)
{
    size_t left = SERVER_LINGER_BYTES - c->linger_bytes;
    if (len >= left && left > 0) {
        server_tell(s, c, TELL_PAUSE);
    }
    c->linger_bytes += (uint32_t)(len < left ? len : left);
}
