#include "support/certs.h"

#ifdef ADIT_TLS

#include <base/check.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DAY_S = 86400, PATH = 160 };

static const char *const extensions[] = {"crt", "key"};

void certs_open(struct certs *c)
{
    const char *tmp = getenv("TMPDIR");
    int len = snprintf(c->folder, sizeof(c->folder), "%.40s/certs.XXXXXX", tmp ? tmp : "/tmp");
    CHECK(len > 0 && (size_t)len < sizeof(c->folder) && mkdtemp(c->folder));
}

const char *certs_path(const struct certs *c, const char *name, const char *extension)
{
    static char paths[4][PATH];
    static unsigned next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, PATH, "%s/%.64s.%.8s", c->folder, name, extension);
    return path;
}

void certs_close(struct certs *c)
{
    char list[PATH];
    char path[PATH];
    (void)snprintf(list, sizeof(list), "%s/list", c->folder);
    FILE *f = fopen(list, "r");
    while (f && fgets(path, sizeof(path), f)) {
        path[strcspn(path, "\n")] = '\0';
        (void)unlink(path);
    }
    if (f) {
        (void)fclose(f);
    }
    (void)unlink(list);
    CHECK(rmdir(c->folder) == 0);
}

static FILE *create(const struct certs *c, const char *name, const char *extension)
{
    char list[PATH];
    const char *path = certs_path(c, name, extension);
    (void)snprintf(list, sizeof(list), "%s/list", c->folder);
    FILE *f = fopen(list, "a");
    CHECK(f && fprintf(f, "%s\n", path) > 0 && fclose(f) == 0);
    f = fopen(path, "w");
    CHECK(f && chmod(path, 0600) == 0);
    return f;
}

static X509 *read_cert(const struct certs *c, const char *name)
{
    FILE *f = fopen(certs_path(c, name, extensions[0]), "r");
    CHECK(f);
    X509 *cert = PEM_read_X509(f, NULL, NULL, NULL);
    CHECK(cert && fclose(f) == 0);
    return cert;
}

static EVP_PKEY *read_key(const struct certs *c, const char *name)
{
    FILE *f = fopen(certs_path(c, name, extensions[1]), "r");
    CHECK(f);
    EVP_PKEY *key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
    CHECK(key && fclose(f) == 0);
    return key;
}

static void extend(X509 *cert, int what, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &context, what, value);
    CHECK(e && X509_add_ext(cert, e, -1) == 1);
    X509_EXTENSION_free(e);
}

static void fill(X509 *cert, const char *name, const struct certs_options *o, EVP_PKEY *key)
{
    static long serial = 1;
    bool dated = o->from_s != 0 || o->until_s != 0;
    X509_NAME *subject = X509_get_subject_name(cert);
    CHECK(X509_set_version(cert, 2) == 1 &&
          ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++));
    CHECK(X509_gmtime_adj(X509_getm_notBefore(cert), dated ? o->from_s : -DAY_S));
    CHECK(X509_gmtime_adj(X509_getm_notAfter(cert), dated ? o->until_s : DAY_S));
    CHECK(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1,
                                     -1, 0) == 1);
    CHECK(X509_set_pubkey(cert, key) == 1);
    extend(cert, NID_basic_constraints, o->authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (o->names) {
        extend(cert, NID_subject_alt_name, o->names);
    }
}

void certs_make(const struct certs *c, const char *name, const struct certs_options *o)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    CHECK(key && cert);
    fill(cert, name, o, key);
    X509 *issuer = o->issuer ? read_cert(c, o->issuer) : NULL;
    EVP_PKEY *signer = o->issuer ? read_key(c, o->issuer) : NULL;
    CHECK(X509_set_issuer_name(cert, X509_get_subject_name(issuer ? issuer : cert)) == 1);
    CHECK(X509_sign(cert, signer ? signer : key, EVP_sha256()) > 0);
    FILE *f = create(c, name, extensions[0]);
    CHECK(PEM_write_X509(f, cert) == 1 && fclose(f) == 0);
    f = create(c, name, extensions[1]);
    CHECK(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1 && fclose(f) == 0);
    X509_free(issuer);
    EVP_PKEY_free(signer);
    X509_free(cert);
    EVP_PKEY_free(key);
}

void certs_pin(const struct certs *c, const char *name, uint8_t out[32])
{
    unsigned char *der = NULL;
    EVP_PKEY *key = read_key(c, name);
    int len = i2d_PUBKEY(key, &der);
    CHECK(len > 0);
    crypto_hash_sha256(out, der, (unsigned long long)len);
    OPENSSL_free(der);
    EVP_PKEY_free(key);
}

#endif
