/* What connections share: versions, certificates, tickets. */
#include "os/tls_internal.h"

#include <base/mem.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int say(char why[TLS_WHY_MAX], int err, const char *what, const char *which)
{
    unsigned long code = ERR_peek_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    (void)snprintf(why, TLS_WHY_MAX, "%.160s%s%.80s", which, what,
                   err == ERR_NO_MEMORY ? err_text(err)
                   : reason             ? reason
                                        : "");
    ERR_clear_error();
    return err;
}

static SSL_CTX *make_ssl(bool server)
{
    SSL_CTX *ssl = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    if (!ssl) {
        return NULL;
    }
    (void)SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION);
    (void)SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    /* Idle connections give their record buffers back. */
    (void)SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
    (void)SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    return ssl;
}

static int make_common(bool server, struct tls_context **out)
{
    struct tls_context *c = mem_new(1, sizeof(*c));
    *out = c;
    if (!c) {
        return ERR_NO_MEMORY;
    }
    c->server = server;
    c->bio = tls_bio_method();
    c->shared = mem_new(1, TLS_SHARED_CAP);
    return c->bio && c->shared ? 0 : ERR_NO_MEMORY;
}

void tls_context_free(struct tls_context *c)
{
    if (!c) {
        return;
    }
    SSL_SESSION_free(c->session);
    SSL_CTX_free(c->ssl);
    BIO_meth_free(c->bio);
    mem_free(c->host);
    mem_free(c->pins);
    mem_free(c->shared);
    mem_free(c);
}

/* --- clients --- */

/* 1: the session is ours from now on. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls *t = SSL_get_app_data(ssl);
    SSL_SESSION_free(t->context->session);
    t->context->session = session;
    return 1;
}

static int fill_client(struct tls_context *c, const struct tls_client_options *o,
                       char why[TLS_WHY_MAX])
{
    c->ssl = make_ssl(false);
    c->host = mem_text(o->host);
    c->pins = mem_new(o->pin_count + 1, sizeof(*c->pins));
    if (!c->ssl || !c->host || !c->pins) {
        return say(why, ERR_NO_MEMORY, "", "");
    }
    if (o->pin_count > 0) {
        memcpy(c->pins, o->pins, o->pin_count * sizeof(*c->pins));
    }
    c->pin_count = o->pin_count;
    (void)SSL_CTX_set_session_cache_mode(c->ssl,
                                         SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(c->ssl, on_session);
    return tls_verify_setup(c, why);
}

int tls_client_new(const struct tls_client_options *options, struct tls_context **out,
                   char why[TLS_WHY_MAX])
{
    struct tls_context *c;
    int err = make_common(false, &c);
    why[0] = '\0';
    err = err ? say(why, err, "", "") : fill_client(c, options, why);
    if (err) {
        tls_context_free(c);
        c = NULL;
    }
    *out = c;
    return err;
}

/* --- servers --- */

/* A key that asks for a passphrase is none for a server: nobody is there to type it. */
static int no_passphrase(char *out, int cap, int writing, void *user)
{
    (void)out;
    (void)cap;
    (void)writing;
    (void)user;
    return -1;
}

static int look_at_file(const char *file, bool secret, char why[TLS_WHY_MAX])
{
    struct stat s;
    FILE *f = fopen(file, "rb");
    if (!f || fstat(fileno(f), &s)) {
        int err = -errno;
        (void)snprintf(why, TLS_WHY_MAX, "%.160s: %s", file, strerror(errno));
        if (f) {
            (void)fclose(f);
        }
        return err;
    }
    (void)fclose(f);
    if (secret && (s.st_mode & S_IROTH)) {
        (void)snprintf(why, TLS_WHY_MAX, "%.160s: others may read this secret key (chmod o-r)",
                       file);
        return ERR_REFUSED;
    }
    return 0;
}

static int load_files(SSL_CTX *ssl, const char *certificate, const char *key, char why[TLS_WHY_MAX])
{
    int err = look_at_file(certificate, false, why);
    if (err == 0) {
        err = look_at_file(key, true, why);
    }
    if (err) {
        return err;
    }
    ERR_clear_error();
    SSL_CTX_set_default_passwd_cb(ssl, no_passphrase);
    if (SSL_CTX_use_certificate_chain_file(ssl, certificate) != 1) {
        return say(why, ERR_MALFORMED, ": no certificate in PEM form: ", certificate);
    }
    if (SSL_CTX_use_PrivateKey_file(ssl, key, SSL_FILETYPE_PEM) != 1) {
        return say(why, ERR_MALFORMED, ": no key in PEM form that fits the certificate: ", key);
    }
    return 0;
}

int tls_server_reload(struct tls_context *c, const char *certificate, const char *key,
                      char why[TLS_WHY_MAX])
{
    SSL_CTX *ssl = make_ssl(true);
    why[0] = '\0';
    if (!ssl) {
        return say(why, ERR_NO_MEMORY, "", "");
    }
    (void)SSL_CTX_set_num_tickets(ssl, 1);
    (void)SSL_CTX_set_options(ssl, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    int err = load_files(ssl, certificate, key, why);
    if (err) {
        SSL_CTX_free(ssl);
        return err;
    }
    SSL_CTX_free(c->ssl); /* connections that stand keep it as long as they need it */
    c->ssl = ssl;
    return 0;
}

int tls_server_new(const char *certificate, const char *key, struct tls_context **out,
                   char why[TLS_WHY_MAX])
{
    struct tls_context *c;
    int err = make_common(true, &c);
    why[0] = '\0';
    err = err ? say(why, err, "", "") : tls_server_reload(c, certificate, key, why);
    if (err) {
        tls_context_free(c);
        c = NULL;
    }
    *out = c;
    return err;
}

const char *tls_server_describe(const struct tls_context *c, char out[TLS_WHY_MAX])
{
    char names[128];
    char date[16];
    char text[TLS_PIN_TEXT];
    uint8_t pin[TLS_PIN_LEN] = {0};
    X509 *cert = SSL_CTX_get0_certificate(c->ssl);
    (void)tls_verify_pin_of(cert, pin);
    (void)snprintf(out, TLS_WHY_MAX, "name=\"%s\" until=%s pin=%s",
                   tls_verify_names(cert, names, sizeof(names)),
                   tls_verify_date(X509_get0_notAfter(cert), date), tls_verify_pin_text(pin, text));
    return out;
}
