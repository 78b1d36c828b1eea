/* Whom a client trusts: a pinned key, or the system's store and the host's name (RFC 6125). */
#include "os/tls_internal.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

int tls_verify_pin_of(X509 *cert, uint8_t out[TLS_PIN_LEN])
{
    unsigned char *der = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
    if (len <= 0) {
        return ERR_MALFORMED;
    }
    int err = crypto_hash_sha256(out, der, (unsigned long long)len);
    OPENSSL_free(der);
    return err ? ERR_CRYPTO : 0;
}

const char *tls_verify_pin_text(const uint8_t pin[TLS_PIN_LEN], char out[TLS_PIN_TEXT])
{
    memcpy(out, "sha256:", 7);
    (void)sodium_bin2base64(out + 7, TLS_PIN_TEXT - 7, pin, TLS_PIN_LEN,
                            sodium_base64_VARIANT_ORIGINAL);
    return out;
}

const char *tls_verify_date(const ASN1_TIME *time, char out[16])
{
    struct tm tm = {0};
    if (!time || ASN1_TIME_to_tm(time, &tm) != 1 || strftime(out, 16, "%Y-%m-%d", &tm) == 0) {
        memcpy(out, "?", 2);
    }
    return out;
}

/* --- names --- */

/* A certificate is a stranger's text: what could break a line of a log becomes '?'. */
static void add_name(char *out, size_t cap, const unsigned char *name, int len)
{
    size_t at = strlen(out);
    if (at > 0 && at + 2 < cap) {
        memcpy(out + at, ", ", 3);
        at += 2;
    }
    for (int i = 0; i < len && at + 1 < cap; i++) {
        bool plain = name[i] > ' ' && name[i] < 0x7f && name[i] != '"' && name[i] != '\\';
        out[at++] = plain ? (char)name[i] : '?';
    }
    out[at] = '\0';
}

static void add_ip(char *out, size_t cap, const unsigned char *ip, int len)
{
    char text[INET6_ADDRSTRLEN];
    if ((len == 4 || len == 16) &&
        inet_ntop(len == 4 ? AF_INET : AF_INET6, ip, text, sizeof(text))) {
        add_name(out, cap, (const unsigned char *)text, (int)strlen(text));
    }
}

static void add_common_name(char *out, size_t cap, X509 *cert)
{
    const X509_NAME *subject = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at >= 0) {
        const ASN1_STRING *name = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
        add_name(out, cap, ASN1_STRING_get0_data(name), ASN1_STRING_length(name));
    }
}

const char *tls_verify_names(X509 *cert, char *out, size_t cap)
{
    enum { SHOWN = 3 };
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    int count = names ? sk_GENERAL_NAME_num(names) : 0;
    out[0] = '\0';
    for (int i = 0; i < count && i < SHOWN; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        const ASN1_STRING *text = name->type == GEN_DNS     ? name->d.dNSName
                                  : name->type == GEN_IPADD ? name->d.iPAddress
                                                            : NULL;
        if (text && name->type == GEN_DNS) {
            add_name(out, cap, ASN1_STRING_get0_data(text), ASN1_STRING_length(text));
        } else if (text) {
            add_ip(out, cap, ASN1_STRING_get0_data(text), ASN1_STRING_length(text));
        }
    }
    GENERAL_NAMES_free(names);
    if (!out[0]) {
        add_common_name(out, cap, cert);
    }
    if (!out[0]) {
        (void)snprintf(out, cap, "nobody");
    }
    return out;
}

/* --- the check --- */

__attribute__((format(printf, 2, 3))) static void note(struct tls *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(t->why, sizeof(t->why), format, args);
    va_end(args);
}

static bool is_pinned(struct tls *t, X509 *cert)
{
    uint8_t pin[TLS_PIN_LEN];
    char text[TLS_PIN_TEXT];
    if (tls_verify_pin_of(cert, pin)) {
        note(t, "its certificate has no key");
        return false;
    }
    for (size_t i = 0; i < t->context->pin_count; i++) {
        if (sodium_memcmp(pin, t->context->pins[i], sizeof(pin)) == 0) {
            return true;
        }
    }
    note(t, "its certificate has another key than the pinned one: %s",
         tls_verify_pin_text(pin, text));
    return false;
}

static void explain(struct tls *t, X509_STORE_CTX *store)
{
    char text[128];
    char date[16];
    int err = X509_STORE_CTX_get_error(store);
    X509 *leaf = X509_STORE_CTX_get0_cert(store);
    X509 *cert = X509_STORE_CTX_get_current_cert(store);
    cert = cert ? cert : leaf;
    switch (err) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        note(t, "its certificate is for %s, not for %.80s",
             tls_verify_names(leaf, text, sizeof(text)), t->context->host);
        break;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        note(t, "its certificate%s expired on %s", cert == leaf ? "" : "'s issuer",
             tls_verify_date(X509_get0_notAfter(cert), date));
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        note(t, "its certificate is valid only from %s on; is the clock here right?",
             tls_verify_date(X509_get0_notBefore(cert), date));
        break;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        note(t, "its certificate is self-signed; a pin would make it trusted");
        break;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        note(t, "its certificate was issued by nobody whom this system trusts");
        break;
    default:
        note(t, "its certificate is not valid: %s", X509_verify_cert_error_string(err));
    }
}

static int verify(X509_STORE_CTX *store, void *user)
{
    (void)user;
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls *t = SSL_get_app_data(ssl);
    if (t->context->pin_count > 0) {
        bool good = is_pinned(t, X509_STORE_CTX_get0_cert(store));
        X509_STORE_CTX_set_error(store, good ? X509_V_OK : X509_V_ERR_CERT_UNTRUSTED);
        return good;
    }
    int good = X509_verify_cert(store) == 1;
    if (!good) {
        explain(t, store);
    }
    return good;
}

int tls_verify_setup(struct tls_context *c, char why[TLS_WHY_MAX])
{
    SSL_CTX_set_verify(c->ssl, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(c->ssl, verify, NULL);
    if (c->pin_count == 0 && SSL_CTX_set_default_verify_paths(c->ssl) != 1) {
        (void)snprintf(why, TLS_WHY_MAX, "the system's certificates cannot be read");
        return ERR_NOT_FOUND;
    }
    return 0;
}

int tls_verify_prepare(struct tls *t)
{
    char *host = t->context->host; /* the macro below wants it writable */
    X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);
    unsigned char ip[16];
    if (inet_pton(AF_INET, host, ip) == 1 || inet_pton(AF_INET6, host, ip) == 1) {
        return X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1 ? 0 : ERR_NO_MEMORY;
    }
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    bool done = X509_VERIFY_PARAM_set1_host(param, host, 0) == 1 &&
                SSL_set_tlsext_host_name(t->ssl, t->context->host) == 1;
    return done ? 0 : ERR_NO_MEMORY;
}
