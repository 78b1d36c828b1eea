/* Certificates made on the spot, as PEM files in a folder of their own. */
#ifndef TESTS_SUPPORT_CERTS_H
#define TESTS_SUPPORT_CERTS_H

#include <stdbool.h>
#include <stdint.h>

struct certs {
    char folder[64];
};

struct certs_options {
    const char *names;  /* as OpenSSL writes them: "DNS:relay.example,IP:127.0.0.1" */
    const char *issuer; /* an earlier one that was made as an authority; NULL = self-signed */
    bool authority;
    long from_s, until_s; /* from now; both 0 = from yesterday to tomorrow */
};

void certs_open(struct certs *c);
/* Removes the folder. */
void certs_close(struct certs *c);

/* Makes NAME.crt and NAME.key. */
void certs_make(const struct certs *c, const char *name, const struct certs_options *options);
/* Path of NAME.EXTENSION; it lasts until the fourth call after this one. */
const char *certs_path(const struct certs *c, const char *name, const char *extension);
/* SHA-256 of its SubjectPublicKeyInfo. */
void certs_pin(const struct certs *c, const char *name, uint8_t out[32]);

#endif
