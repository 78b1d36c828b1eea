/* TLS 1.2 and 1.3 (RFC 5246, RFC 8446) on bytes in memory, with OpenSSL: what a socket would read
 * and write is handed in and out, so that the loop keeps its batches.
 *
 *     struct tls *t = tls_new(context);      a client has its first flight in tls_output at once
 *     tls_input(t, bytes, len);              what came from the socket, borrowed until
 *     while ((n = tls_read(t, ...)) > 0)     it is read to the end
 *     tls_write(t, ...)                      plaintext, once tls_is_ready
 *     tls_output, tls_sent                   what is to be written, after any of these
 *
 * What is to be written lies in a buffer of the context as long as the socket takes it at once;
 * only a connection whose socket is full holds memory of its own for it. So one context, all its
 * connections and all calls belong to one thread, and an idle connection costs what OpenSSL keeps.
 *
 * Without OpenSSL (CMake option ADIT_TLS) contexts cannot be made, and say so.
 */
#ifndef OS_TLS_H
#define OS_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TLS_PIN_LEN = 32,  /* SHA-256 of a certificate's SubjectPublicKeyInfo, as in RFC 7469 */
    TLS_WHY_MAX = 256, /* texts */
    TLS_RECORD = 16384,
    TLS_WRITE_MAX = 4 * TLS_RECORD, /* what tls_write takes at once */
};

struct tls_context;
struct tls;

struct tls_client_options {
    const char *host; /* the name or address that the certificate must be for; also sent as SNI */
    /* If there are any, the certificate must have one of these keys, and nothing else counts:
     * neither who signed it, nor its names, nor its dates. Otherwise the system's store decides
     * ($SSL_CERT_FILE and $SSL_CERT_DIR, as everywhere with OpenSSL). */
    const uint8_t (*pins)[TLS_PIN_LEN];
    size_t pin_count;
};

/* Copies the options. 0 and *out, or a negative error with what is wrong in `why`. */
int tls_client_new(const struct tls_client_options *options, struct tls_context **out,
                   char why[TLS_WHY_MAX]);
/* A server with the certificate, and those between it and the root, in one PEM file and its key in
 * another or the same. The same. */
int tls_server_new(const char *certificate, const char *key, struct tls_context **out,
                   char why[TLS_WHY_MAX]);
/* Reads both files again, or others, for connections that come from now on; on failure what was
 * read before stays. */
int tls_server_reload(struct tls_context *c, const char *certificate, const char *key,
                      char why[TLS_WHY_MAX]);
/* "name=... until=... pin=sha256:..." of the server's certificate; returns `out`. */
const char *tls_server_describe(const struct tls_context *c, char out[TLS_WHY_MAX]);
/* After all its connections. */
void tls_context_free(struct tls_context *c);

/* NULL when out of memory. */
struct tls *tls_new(struct tls_context *c);
void tls_free(struct tls *t);

/* Bytes from the socket; they must stay until tls_read has returned 0 or less. */
void tls_input(struct tls *t, const void *data, size_t len);
/* Plaintext, as much of it as there is and fits. 0 = nothing more now; ERR_CLOSED = the other side
 * said goodbye; other negative: over, tls_why tells. Does the handshake on the way. */
int tls_read(struct tls *t, void *out, size_t cap);
/* The handshake is done. */
bool tls_is_ready(const struct tls *t);
/* Up to TLS_WRITE_MAX bytes; call it when tls_output is empty. 0, or a negative error: over. */
int tls_write(struct tls *t, const void *data, size_t len);
/* Says goodbye, as far as that can still be done. */
void tls_finish(struct tls *t);

/* Bytes to be written; they stay until the next call for a connection of this context, or, after
 * tls_sent has been told of fewer than all of them, until it was told of the rest. */
size_t tls_output(struct tls *t, const uint8_t **data);
void tls_sent(struct tls *t, size_t n);

/* A sentence without the peer's name, "its certificate is for other.example"; "" if nothing is
 * wrong. */
const char *tls_why(const struct tls *t);

#endif
