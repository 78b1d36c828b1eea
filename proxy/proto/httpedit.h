/* Heads of messages as a proxy passes them on: everything but what concerned only the connection
 * they came over (RFC 9110 section 7.6.1), in lines that end with CR LF.
 *
 * Left out: Connection and the headers it names, Proxy-Connection, Keep-Alive, TE, Upgrade,
 * Proxy-Authorization, Proxy-Authenticate. Host and what frames the body (Content-Length,
 * Transfer-Encoding) stay even when Connection names them, or a message could be made to end
 * somewhere else for the next reader.
 */
#ifndef PROTO_HTTPEDIT_H
#define PROTO_HTTPEDIT_H

#include "proto/httpmsg.h"
#include "proto/httpreq.h"

#include <stdbool.h>
#include <stddef.h>

enum { HTTPEDIT_MORE = 256 }; /* a head grows by less than this, whatever its lines ended with */

/* Room for the rewritten head of a message. */
size_t httpedit_room(const struct httpmsg *m);
/* For the target: origin form, Host from the URL. Returns the length. */
size_t httpedit_request(char *out, size_t cap, const struct httpmsg *m, const struct httpreq *r);
/* For the client: `keep` = its connection stays open behind this answer. */
size_t httpedit_response(char *out, size_t cap, const struct httpmsg *m, bool keep);

#endif
