/* A small DNS server for the lab (RFC 1035): says who asked for what.
 *
 *   lab_dnsserver ADDRESS PORT [NAME=IP]...
 *
 * Over UDP only. Each query becomes a line on standard output, "NAME TYPE"; names listed have the
 * records of their addresses, at most one of each family; all others do not exist. Nothing is
 * answered for names that begin with "silent", and for those that begin with "late" nothing but the
 * A record.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sysexits.h>

enum {
    HEAD = 12,
    MESSAGE = 512,
    NAME = 255,
    TYPE_A = 1,
    TYPE_AAAA = 28,
    NXDOMAIN = 3,
    ANSWER = 28,
    TTL = 0
};

struct query {
    char name[NAME + 1];
    unsigned type;
    size_t len; /* head and question */
};

/* One question, no compression: what resolvers send. */
static bool read_query(struct query *q, const uint8_t *in, size_t len)
{
    size_t at = HEAD;
    size_t out = 0;
    if (len < HEAD || in[4] != 0 || in[5] != 1) {
        return false;
    }
    while (at < len && in[at] != 0) {
        size_t label = in[at];
        if (label > 63 || at + 1 + label >= len || out + label + 1 > NAME) {
            return false;
        }
        out += out > 0;
        memcpy(q->name + out, in + at + 1, label);
        out += label;
        q->name[out] = out > 0 ? '.' : '\0';
        at += 1 + label;
    }
    q->name[out] = '\0';
    q->len = at + 5;
    if (q->len > len) {
        return false;
    }
    q->type = (unsigned)(in[at + 1] << 8 | in[at + 2]);
    return true;
}

/* The address of that type. `known`: the name has one, of whatever type. */
static const char *find(const char *name, unsigned type, char *const *records, bool *known)
{
    const char *found = NULL;
    size_t len = strlen(name);
    for (; *records; records++) {
        if (strncasecmp(*records, name, len) == 0 && (*records)[len] == '=') {
            const char *ip = *records + len + 1;
            *known = true;
            found = type == (strchr(ip, ':') ? TYPE_AAAA : TYPE_A) ? ip : found;
        }
    }
    return found;
}

/* Turns the query in `m` into its answer. */
static size_t answer(uint8_t *m, const struct query *q, const char *ip, bool known)
{
    bool v6 = q->type == TYPE_AAAA;
    const uint8_t record[] = {0xc0, HEAD, 0,          v6 ? TYPE_AAAA : TYPE_A, 0, 1, 0, 0, 0,
                              TTL,  0,    v6 ? 16 : 4};
    bool found = ip && inet_pton(v6 ? AF_INET6 : AF_INET, ip, m + q->len + sizeof(record)) == 1;
    m[2] = 0x84; /* a response, authoritative */
    m[3] = known ? 0 : NXDOMAIN;
    memset(m + 6, 0, 6);
    m[7] = found;
    if (found) {
        memcpy(m + q->len, record, sizeof(record));
    }
    return q->len + (found ? sizeof(record) + (v6 ? 16 : 4) : 0);
}

static void serve(int fd, char *const *records)
{
    for (;;) {
        uint8_t m[MESSAGE + NAME + ANSWER];
        struct sockaddr_in from;
        socklen_t from_len = sizeof(from);
        struct query q = {.len = 0};
        ssize_t n = recvfrom(fd, m, MESSAGE, 0, (struct sockaddr *)&from, &from_len);
        if (n < 0 || !read_query(&q, m, (size_t)n)) {
            continue;
        }
        (void)printf("%s %u\n", q.name, q.type);
        (void)fflush(stdout);
        if (strncasecmp(q.name, "silent", 6) == 0 ||
            (strncasecmp(q.name, "late", 4) == 0 && q.type != TYPE_A)) {
            continue;
        }
        bool known = false;
        const char *ip = find(q.name, q.type, records, &known);
        size_t len = answer(m, &q, ip, known);
        (void)sendto(fd, m, len, 0, (const struct sockaddr *)&from, from_len);
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in here = {.sin_family = AF_INET};
    if (argc < 3 || inet_pton(AF_INET, argv[1], &here.sin_addr) != 1) {
        (void)fprintf(stderr, "usage: lab_dnsserver ADDRESS PORT [NAME=IP]...\n");
        return EX_USAGE;
    }
    here.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&here, sizeof(here)) != 0) {
        perror("lab_dnsserver");
        return EX_OSERR;
    }
    serve(fd, argv + 3);
}
