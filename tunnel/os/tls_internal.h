/* Shared by tls.c (connections), tls_context.c (contexts) and tls_verify.c (whom to trust). */
#ifndef OS_TLS_INTERNAL_H
#define OS_TLS_INTERNAL_H

#include "os/tls.h"

#include <base/err.h>

/* Both our table of errors and OpenSSL have this name. */
#define ERR_STATE OPENSSL_ERR_STATE
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#undef ERR_STATE

enum {
    /* Records of a full tls_write, or the longest flight of a handshake. */
    TLS_SHARED_CAP = TLS_WRITE_MAX + (16 << 10),
    /* What a connection may add to what already waits: alerts, key updates, tickets. */
    TLS_WAITING_MORE = 4 << 10,
};

struct tls_context {
    SSL_CTX *ssl;
    BIO_METHOD *bio;
    bool server;
    char *host;
    uint8_t (*pins)[TLS_PIN_LEN];
    size_t pin_count;
    SSL_SESSION *session; /* client: of the last connection, to resume */

    struct tls *owner; /* whose bytes are in `shared`; NULL = nobody's */
    size_t shared_len;
    size_t shared_sent;
    uint8_t *shared; /* TLS_SHARED_CAP */
};

struct tls {
    struct tls_context *context;
    SSL *ssl;
    const uint8_t *in; /* not read yet */
    size_t in_len;
    uint8_t *waiting; /* what the socket did not take; NULL = nothing */
    size_t waiting_len, waiting_sent, waiting_cap;
    int err; /* negative: over */
    char why[TLS_WHY_MAX];
};

/* --- tls.c --- */

/* The functions through which OpenSSL reads and writes; NULL when out of memory. */
BIO_METHOD *tls_bio_method(void);

/* --- tls_verify.c --- */

/* Makes a client's connections check the server's certificate. 0 or an error with `why`. */
int tls_verify_setup(struct tls_context *c, char why[TLS_WHY_MAX]);
/* The names and addresses to be looked for in the certificate of one connection. */
int tls_verify_prepare(struct tls *t);
/* The first names of a certificate, in a form that is fit for a log. */
const char *tls_verify_names(X509 *cert, char *out, size_t cap);
/* 0 or an error. */
int tls_verify_pin_of(X509 *cert, uint8_t out[TLS_PIN_LEN]);
/* "sha256:" and base64. */
enum { TLS_PIN_TEXT = 7 + 44 + 1 };
const char *tls_verify_pin_text(const uint8_t pin[TLS_PIN_LEN], char out[TLS_PIN_TEXT]);
/* "2026-01-31" */
const char *tls_verify_date(const ASN1_TIME *time, char out[16]);

#endif
