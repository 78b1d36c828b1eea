/* STUN Binding (RFC 8489) with the attributes of behaviour discovery (RFC 5780). bytes <-> structs,
 * no state, no memory. Both directions: the client asks, the relay's server answers.
 *
 *     0..1   type: request 0x0001, indication 0x0011, success 0x0101, error 0x0111
 *     2..3   length of the attributes, a multiple of 4
 *     4..7   magic cookie 0x2112a442
 *     8..19  transaction id, 96 random bits: what keeps forgers off the path out
 *     20..   attributes: type 2, length 2, value, up to 3 bytes of padding
 *
 * MESSAGE-INTEGRITY is noticed, neither checked nor made: Binding needs no credentials, and there
 * is no SHA-1 in this house. FINGERPRINT is checked wherever it stands and made when asked for.
 */
#ifndef WIRE_STUN_H
#define WIRE_STUN_H

#include <base/addr.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    STUN_HEADER_LEN = 20,
    STUN_TXID_LEN = 12,
    STUN_MESSAGE_MAX = 548, /* RFC 8489 6.1: what fits where the MTU is not known, IPv4 */
    STUN_SOFTWARE_MAX = 763,
    STUN_UNKNOWN_MAX = 8,
};

enum stun_type {
    STUN_REQUEST = 0x0001,
    STUN_INDICATION = 0x0011,
    STUN_SUCCESS = 0x0101,
    STUN_ERROR = 0x0111,
};

/* CHANGE-REQUEST (RFC 5780 7.2): from where the answer shall come. */
enum {
    STUN_CHANGE_PORT = 0x02,
    STUN_CHANGE_IP = 0x04,
};

enum {
    STUN_TRY_ALTERNATE = 300,
    STUN_BAD_REQUEST = 400,
    STUN_UNAUTHENTICATED = 401,
    STUN_UNKNOWN_ATTRIBUTE = 420,
    STUN_SERVER_ERROR = 500,
};

/* How a server wants to be asked. */
enum stun_form {
    STUN_FORM_PLAIN,       /* the header alone: 20 bytes */
    STUN_FORM_FINGERPRINT, /* with FINGERPRINT */
    STUN_FORM_TAILNODE,    /* SOFTWARE "tailnode", FINGERPRINT: the only form a derper answers */
};

/* What one message says. Reader: absent = zero; texts point into the message. Writer: every field
 * that is not zero becomes an attribute. Of an attribute that comes twice the first one counts. */
struct stun_message {
    uint16_t type;
    uint8_t txid[STUN_TXID_LEN];
    struct addr xor_mapped; /* also 0x8020, its number before the standard */
    struct addr mapped;     /* differs from xor_mapped: something rewrites payloads */
    struct addr response_origin;
    struct addr other_address;
    bool has_change;
    uint8_t change;         /* STUN_CHANGE_* */
    uint16_t response_port; /* 0 = absent */
    bool has_padding;
    size_t padding_len;
    uint16_t error; /* 300..699 in an error response */
    const uint8_t *reason;
    size_t reason_len;
    const uint8_t *software;
    size_t software_len;
    bool has_fingerprint; /* reader: and it is right */
    bool has_integrity;   /* reader only: MESSAGE-INTEGRITY or -SHA256 is there, unchecked */
    bool is_tailnode;     /* reader only: exactly STUN_FORM_TAILNODE */
    /* Reader: types below 0x8000 that must be understood and are not, the first few of them; a
     * request that has any gets error 420. Writer: the list in that error. */
    uint16_t unknown[STUN_UNKNOWN_MAX];
    size_t unknown_count;
};

/* Whether a datagram on the shared socket is STUN rather than ours: two zero bits and the cookie.
 * The rest is for stun_read to judge. */
bool stun_is_message(const void *data, size_t len);

/* 0 or ERR_MALFORMED: not one whole message, an attribute past the end or of the wrong size, a
 * wrong FINGERPRINT or one that is not last. Other methods than Binding are read too: see type.
 * *out is untouched on failure and points into `data`. */
int stun_read(struct stun_message *out, const void *data, size_t len);

/* The message's length, or 0 if `cap` is too small. Addresses are normalised first: who came as
 * v4-mapped IPv6 is told its IPv4 address (RFC 8489 knows no third family). */
size_t stun_write(void *out, size_t cap, const struct stun_message *m);

/* A Binding request; change = 0 or STUN_CHANGE_*. */
size_t stun_write_request(void *out, size_t cap, const uint8_t txid[STUN_TXID_LEN],
                          enum stun_form form, uint8_t change);

/* The address that an answer names: XOR-MAPPED-ADDRESS, else MAPPED-ADDRESS (RFC 3489 servers);
 * false if there is none that anybody could use. */
bool stun_mapped(const struct stun_message *m, struct addr *out);

#endif
