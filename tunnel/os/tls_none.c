/* Where OpenSSL is missing: no context can be made, so that nothing else is ever called. */
#include "os/tls.h"

#include <base/check.h>
#include <base/err.h>

#include <stdio.h>

static int refuse(struct tls_context **out, char why[TLS_WHY_MAX])
{
    *out = NULL;
    (void)snprintf(why, TLS_WHY_MAX, "TLS is not built in");
    return ERR_NOT_FOUND;
}

int tls_client_new(const struct tls_client_options *options, struct tls_context **out,
                   char why[TLS_WHY_MAX])
{
    (void)options;
    return refuse(out, why);
}

int tls_server_new(const char *certificate, const char *key, struct tls_context **out,
                   char why[TLS_WHY_MAX])
{
    (void)certificate;
    (void)key;
    return refuse(out, why);
}

void tls_context_free(struct tls_context *c)
{
    CHECK(!c);
}

void tls_free(struct tls *t)
{
    CHECK(!t);
}

int tls_server_reload(struct tls_context *c, const char *certificate, const char *key,
                      char why[TLS_WHY_MAX])
{
    (void)c;
    (void)certificate;
    (void)key;
    (void)why;
    NEVER();
}

const char *tls_server_describe(const struct tls_context *c, char out[TLS_WHY_MAX])
{
    (void)c;
    (void)out;
    NEVER();
}

struct tls *tls_new(struct tls_context *c)
{
    (void)c;
    NEVER();
}

void tls_input(struct tls *t, const void *data, size_t len)
{
    (void)t;
    (void)data;
    (void)len;
    NEVER();
}

int tls_read(struct tls *t, void *out, size_t cap)
{
    (void)t;
    (void)out;
    (void)cap;
    NEVER();
}

bool tls_is_ready(const struct tls *t)
{
    (void)t;
    NEVER();
}

int tls_write(struct tls *t, const void *data, size_t len)
{
    (void)t;
    (void)data;
    (void)len;
    NEVER();
}

void tls_finish(struct tls *t)
{
    (void)t;
    NEVER();
}

size_t tls_output(struct tls *t, const uint8_t **data)
{
    (void)t;
    (void)data;
    NEVER();
}

void tls_sent(struct tls *t, size_t n)
{
    (void)t;
    (void)n;
    NEVER();
}

const char *tls_why(const struct tls *t)
{
    (void)t;
    NEVER();
}
