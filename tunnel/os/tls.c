/* One connection: OpenSSL between two spans of memory. */
#include "os/tls_internal.h"

#include <base/check.h>
#include <base/mem.h>

#include <stdio.h>
#include <string.h>

/* --- what waits to be written --- */

/* Moves what is left in the shared buffer into memory of its owner. */
static int keep_shared(struct tls_context *c)
{
    struct tls *t = c->owner;
    size_t left = c->shared_len - c->shared_sent;
    c->owner = NULL;
    if (!t || left == 0) {
        return 0;
    }
    CHECK(!t->waiting);
    t->waiting = mem_new(1, left + TLS_WAITING_MORE);
    if (!t->waiting) {
        t->err = ERR_NO_MEMORY;
        return ERR_NO_MEMORY;
    }
    memcpy(t->waiting, c->shared + c->shared_sent, left);
    t->waiting_cap = left + TLS_WAITING_MORE;
    t->waiting_len = left;
    t->waiting_sent = 0;
    return 0;
}

static bool append(struct tls *t, const char *data, size_t len)
{
    struct tls_context *c = t->context;
    if (t->waiting) {
        /* Who makes us answer without taking the answers is cut off. */
        if (len > t->waiting_cap - t->waiting_len) {
            return false;
        }
        memcpy(t->waiting + t->waiting_len, data, len);
        t->waiting_len += len;
        return true;
    }
    if (c->owner != t) {
        (void)keep_shared(c); /* of another one, which has its error then */
        c->owner = t;
        c->shared_len = c->shared_sent = 0;
    }
    if (len > TLS_SHARED_CAP - c->shared_len) {
        return false;
    }
    memcpy(c->shared + c->shared_len, data, len);
    c->shared_len += len;
    return true;
}

size_t tls_output(struct tls *t, const uint8_t **data)
{
    const struct tls_context *c = t->context;
    *data = NULL;
    if (t->waiting) {
        *data = t->waiting + t->waiting_sent;
        return t->waiting_len - t->waiting_sent;
    }
    if (c->owner != t) {
        return 0;
    }
    *data = c->shared + c->shared_sent;
    return c->shared_len - c->shared_sent;
}

void tls_sent(struct tls *t, size_t n)
{
    struct tls_context *c = t->context;
    if (t->waiting) {
        CHECK(n <= t->waiting_len - t->waiting_sent);
        t->waiting_sent += n;
        if (t->waiting_sent == t->waiting_len) {
            mem_free(t->waiting);
            t->waiting = NULL;
        }
    } else if (c->owner == t) {
        CHECK(n <= c->shared_len - c->shared_sent);
        c->shared_sent += n;
        (void)keep_shared(c);
    }
}

/* --- what OpenSSL calls --- */

static int bio_write(BIO *bio, const char *data, int len)
{
    BIO_clear_retry_flags(bio);
    return len > 0 && append(BIO_get_data(bio), data, (size_t)len) ? len : -1;
}

static int bio_read(BIO *bio, char *out, int cap)
{
    struct tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (cap <= 0) {
        return 0;
    }
    if (t->in_len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t n = t->in_len < (size_t)cap ? t->in_len : (size_t)cap;
    memcpy(out, t->in, n);
    t->in += n;
    t->in_len -= n;
    return (int)n;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO_METHOD *tls_bio_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "memory");
    if (m) {
        (void)BIO_meth_set_write(m, bio_write);
        (void)BIO_meth_set_read(m, bio_read);
        (void)BIO_meth_set_ctrl(m, bio_ctrl);
    }
    return m;
}

/* --- life --- */

static int attach(struct tls *t)
{
    BIO *bio = BIO_new(t->context->bio);
    if (!bio) {
        return ERR_NO_MEMORY;
    }
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    (void)SSL_set_app_data(t->ssl, t);
    if (t->context->server) {
        SSL_set_accept_state(t->ssl);
        return 0;
    }
    SSL_set_connect_state(t->ssl);
    if (t->context->session) {
        (void)SSL_set_session(t->ssl, t->context->session);
    }
    return tls_verify_prepare(t);
}

struct tls *tls_new(struct tls_context *c)
{
    struct tls *t = mem_new(1, sizeof(*t));
    if (!t) {
        return NULL;
    }
    t->context = c;
    t->ssl = SSL_new(c->ssl);
    if (!t->ssl || attach(t)) {
        tls_free(t);
        return NULL;
    }
    if (!c->server) {
        (void)tls_read(t, NULL, 0); /* the first flight */
    }
    return t;
}

void tls_free(struct tls *t)
{
    if (!t) {
        return;
    }
    if (t->context->owner == t) {
        t->context->owner = NULL;
    }
    SSL_free(t->ssl);
    mem_free(t->waiting);
    mem_free(t);
}

bool tls_is_ready(const struct tls *t)
{
    return t->err == 0 && SSL_is_init_finished(t->ssl);
}

const char *tls_why(const struct tls *t)
{
    return t->why;
}

/* --- errors --- */

static const char *reason_text(unsigned long code)
{
    const char *text = ERR_reason_error_string(code);
    switch (ERR_GET_REASON(code)) {
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
        return "it speaks plain HTTP and not TLS";
    case SSL_R_WRONG_VERSION_NUMBER:
        return "it does not speak TLS";
    default:
        return text ? text : "TLS failed";
    }
}

/* The cause that the check of the certificate has noted counts more than OpenSSL's. */
static int fail(struct tls *t)
{
    unsigned long code = ERR_peek_last_error();
    if (t->err == 0) {
        t->err = ERR_CRYPTO;
    }
    if (!t->why[0]) {
        (void)snprintf(t->why, sizeof(t->why), "%s",
                       t->err == ERR_NO_MEMORY ? err_text(t->err) : reason_text(code));
    }
    ERR_clear_error();
    if (t->context->session && !t->context->server) {
        SSL_SESSION_free(t->context->session); /* it may have been what was wrong */
        t->context->session = NULL;
    }
    return t->err;
}

/* 0 to go on later, or the end. */
static int judge(struct tls *t, int result)
{
    switch (SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return t->err ? fail(t) : 0;
    case SSL_ERROR_ZERO_RETURN:
        t->err = ERR_CLOSED;
        return ERR_CLOSED;
    default:
        return fail(t);
    }
}

/* --- bytes --- */

void tls_input(struct tls *t, const void *data, size_t len)
{
    CHECK(t->in_len == 0 || t->err != 0);
    t->in = data;
    t->in_len = len;
}

/* SSL_read stops at the end of each record; one call here goes on to the end of the input. */
int tls_read(struct tls *t, void *out, size_t cap)
{
    size_t len = 0;
    int result = 1;
    if (t->err) {
        return t->err;
    }
    ERR_clear_error();
    if (!SSL_is_init_finished(t->ssl)) {
        result = SSL_do_handshake(t->ssl);
        if (result != 1) {
            return judge(t, result);
        }
    }
    while (len < cap) {
        result = SSL_read(t->ssl, (char *)out + len, (int)(cap - len));
        if (result <= 0) {
            break;
        }
        len += (size_t)result;
    }
    return len > 0 || cap == 0 ? (int)len : judge(t, result);
}

int tls_write(struct tls *t, const void *data, size_t len)
{
    CHECK(len > 0 && len <= TLS_WRITE_MAX);
    if (t->err) {
        return t->err;
    }
    ERR_clear_error();
    /* One that cannot be done whole at once has found our buffer too small, or a handshake: there
     * is none after the first (renegotiation is off). */
    int result = SSL_write(t->ssl, data, (int)len);
    return result == (int)len ? 0 : fail(t);
}

void tls_finish(struct tls *t)
{
    ERR_clear_error();
    if (tls_is_ready(t)) {
        (void)SSL_shutdown(t->ssl);
    }
    ERR_clear_error();
}
