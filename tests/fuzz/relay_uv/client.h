/* A relay's client that says what it is told to, and checks all that it hears.
 *
 * What must hold for each of them: nothing but an HTTP answer comes before the upgrade, nothing but
 * ServerKey before a login that was sent, with a key that may be admitted; no byte after the end of
 * an answer; every packet is one that its sender sent to this client's key, byte for byte, once,
 * and in order; every other frame has its reason. Who says bytes that are not of our making before
 * its login, or past WebSocket, is *wild*: then nobody knows what it has sent, and packets with its
 * key are not held against it.
 */
#ifndef TESTS_FUZZ_RELAY_UV_CLIENT_H
#define TESTS_FUZZ_RELAY_UV_CLIENT_H

#include "fuzz/relay_uv/ledger.h"

#include "os/tls.h"
#include "wire/derp.h"
#include "wire/websocket.h"

#include <base/addr.h>

enum {
    CLIENT_BUFFER = DERP_PACKET_OVERHEAD + DERP_PACKET_MAX,
    CLIENT_LOGINS = LEDGER_KEYS - 1,
    CLIENT_LISTED = 2
};

enum client_stage { CLIENT_HTTP, CLIENT_BODY, CLIENT_KEY, CLIENT_INFO, CLIENT_OPEN };

enum client_way { CLIENT_PLAIN, CLIENT_FAST, CLIENT_WEBSOCKET, CLIENT_WAYS };

struct client {
    int conn; /* of the kernel; -1 = none */
    uint32_t number;
    bool reads; /* all that comes, at once */
    bool wild;
    bool may_end;
    struct tls *tls; /* NULL = plain */
    bool tls_over;
    bool broke_tls;      /* said bytes past it */
    bool wraps;          /* says everything inside WebSocket */
    unsigned keys;       /* bit set: logins that were sent */
    bool reading_frames; /* what it says is in the ledger from now on */
    struct ledger_reader said;

    bool asked; /* it has said anything */
    enum client_stage stage;
    bool unwraps; /* what it hears is inside WebSocket */
    struct ws_reader ws;
    uint8_t key; /* as which it is logged in */
    size_t body_left;
    size_t len;
    uint8_t buffer[CLIENT_BUFFER];
};

/* Keys, the server's too, and with ADIT_TLS certificates; once. */
void clients_prepare(void);
const uint8_t *clients_server_secret(void);
const uint8_t (*clients_keys(void))[32];
struct tls_context *clients_server_tls(void); /* NULL: none to be had */

/* Forgets what was in the last run. */
void clients_start(void);
/* From now on a relay may say that it restarts; may admit all keys and not only the first
 * CLIENT_LISTED. */
void clients_expect_restart(void);
void clients_expect_all(void);
/* Connections that a relay may find to have ended from their side. */
uint64_t clients_that_may_end(void);
/* Packets that have come in whole; bytes of any kind. */
uint64_t clients_received(void);
uint64_t clients_heard(void);

/* False if the kernel does not have it. */
bool client_open(struct client *c, uint16_t port, const struct addr *from, bool tls);
/* Something is done to it after which it is no wonder if it counts as gone. */
void client_may_end(struct client *c);
/* Closes, and forgets. */
void client_leave(struct client *c);
/* Reads up to `cap` bytes off the socket and checks them; TLS answers. */
void client_hear(struct client *c, size_t cap);
/* The relay has said its last byte, or should have. */
bool client_is_over(const struct client *c);
bool client_should_be_over(const struct client *c);
/* TLS, if any, is done with its handshake. */
bool client_can_talk(const struct client *c);

/* The request, and then ClientInfo for `key` < CLIENT_LOGINS. */
void client_upgrade(struct client *c, enum client_way way);
void client_login(struct client *c, uint8_t key);
/* Bytes of our own making; those of another's; those that go past TLS and WebSocket. */
void client_say(struct client *c, const void *data, size_t len);
void client_say_strange(struct client *c, const void *data, size_t len);
void client_say_raw(struct client *c, const void *data, size_t len);

#endif
