/* A router, or who passes for one, by UPnP: what the library makes of its answers is said here
 * instead (texts and codes as the input has them), and what is made of that holds: nobody but the
 * gateway is asked for a port, what is mapped can be used, and what cannot be used is given back.
 */
#include "os/upnp.h"

#include <base/bytes.h>
#include <base/check.h>

#include <miniupnpc/miniupnpc.h>
#include <miniupnpc/upnpcommands.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { DEVICES = 4, TEXT = 300, EXTERNAL = 16 /* the library's room for it */ };

static struct {
    struct reader script;
    struct UPNPDev *list; /* each on its own: they end in an array without a length */
    char urls[DEVICES][TEXT];
    char control[TEXT];
    char mapped[8]; /* the port, or "" */
    unsigned asked;
} router;

/* A length, then so many bytes up to the first NUL. */
static char *read_text(char *out, size_t cap)
{
    size_t len = read_u8(&router.script);
    len = len < reader_left(&router.script) ? len : reader_left(&router.script);
    size_t kept = len < cap ? len : cap - 1;
    memset(out, 0, cap);
    if (len > 0) {
        memcpy(out, read_bytes(&router.script, len), kept);
    }
    return out;
}

/* --- the library --- */

struct UPNPDev *upnpDiscoverDevices(const char *const kinds[], int delay, const char *interface,
                                    const char *socket, int port, int ipv6, unsigned char ttl,
                                    int *error, int all)
{
    size_t count = read_u8(&router.script) % (DEVICES + 1);
    CHECK(kinds[0] && delay == UPNP_FIND_MS && !socket && !ipv6 && ttl > 0 && !all);
    CHECK(strcmp(interface, "192.168.1.2") == 0 && port == UPNP_LOCAL_PORT_ANY);
    *error = 0;
    for (size_t i = 0; i < count; i++) {
        struct UPNPDev *d = calloc(1, sizeof(*d));
        CHECK(d);
        d->descURL = read_text(router.urls[i], TEXT);
        d->pNext = router.list;
        router.list = d;
    }
    return router.list;
}

void freeUPNPDevlist(struct UPNPDev *list)
{
    CHECK(list == router.list);
    while (router.list) {
        struct UPNPDev *next = router.list->pNext;
        free(router.list);
        router.list = next;
    }
}

int UPNP_GetIGDFromUrl(const char *url, struct UPNPUrls *urls, struct IGDdatas *data, char *lan,
                       int lan_len)
{
    CHECK(strncmp(url, "http://192.168.1.1", 18) == 0 && strchr(":/", url[18]));
    CHECK(lan && lan_len > 0);
    if (read_u8(&router.script) & 1) {
        return 0;
    }
    urls->controlURL = read_u8(&router.script) & 1 ? NULL : read_text(router.control, TEXT);
    (void)read_text(data->first.servicetype, sizeof(data->first.servicetype));
    return 1;
}

void FreeUPNPUrls(struct UPNPUrls *urls)
{
    CHECK(!urls->controlURL || urls->controlURL == router.control);
    memset(router.control, '#', sizeof(router.control)); /* whoever kept it has nothing */
}

/* One of the codes that matter, or any. */
static int read_code(void)
{
    static const int codes[] = {0, 402, 501, 606, 714, 718, 725, 729, -1, -3};
    uint8_t code = read_u8(&router.script);
    return code < 128 ? codes[code % (sizeof(codes) / sizeof(codes[0]))] : 4 * code;
}

int UPNP_AddPortMapping(const char *control, const char *service, const char *outside,
                        const char *inside, const char *client, const char *what,
                        const char *protocol, const char *remote, const char *lifetime)
{
    int code = read_code();
    CHECK(strlen(control) < UPNP_URL_MAX && strlen(service) < UPNP_SERVICE_MAX);
    CHECK(strcmp(inside, "41000") == 0 && strcmp(client, "192.168.1.2") == 0 && !remote);
    CHECK(what && strcmp(protocol, "UDP") == 0 && strtoul(lifetime, NULL, 10) <= UPNP_LIFETIME_S);
    CHECK(++router.asked <= 8 && strtoul(outside, NULL, 10) <= UINT16_MAX);
    if (code == 0) {
        (void)snprintf(router.mapped, sizeof(router.mapped), "%s", outside);
    }
    return code;
}

int UPNP_GetExternalIPAddress(const char *control, const char *service, char *out)
{
    CHECK(control && service && router.mapped[0]);
    int code = read_code();
    (void)read_text(out, EXTERNAL);
    return code;
}

int UPNP_DeletePortMapping(const char *control, const char *service, const char *outside,
                           const char *protocol, const char *remote)
{
    CHECK(control && service && strcmp(protocol, "UDP") == 0 && !remote);
    CHECK(strcmp(outside, router.mapped) == 0);
    router.mapped[0] = '\0';
    return read_code();
}

/* --- what is made of it --- */

static void map(const struct upnp_router *r, const struct addr *client)
{
    struct upnp_mapping m;
    char port[8];
    router.asked = 0;
    int err = upnp_map(r, client, 41000, &m);
    CHECK((err == 0) == (router.mapped[0] != '\0'));
    if (err == 0) {
        (void)snprintf(port, sizeof(port), "%u", (unsigned)m.external.port);
        CHECK(strcmp(port, router.mapped) == 0 && m.external.port > 0);
        CHECK(!addr_is_unspecified(&m.external) && !addr_is_loopback(&m.external));
        CHECK(m.lifetime_s == 0 || m.lifetime_s == UPNP_LIFETIME_S);
        (void)upnp_unmap(r, m.external.port);
    }
    CHECK(!router.mapped[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct addr gateway = addr_ipv4(192, 168, 1, 1, 0);
    struct addr client = addr_ipv4(192, 168, 1, 2, 41000);
    struct upnp_router r = {.control = "http://192.168.1.1/c", .service = "s"};
    memset(&router, 0, sizeof(router));
    router.script = reader_of(data, len);
    bool found = upnp_find(&r, &gateway, &client) == 0;
    CHECK(found == (r.control[0] != '\0'));
    if (found) {
        CHECK(strncmp(r.control, "http://192.168.1.1", 18) == 0 && strchr(":/", r.control[18]));
        CHECK(memchr(r.control, 0, sizeof(r.control)) && memchr(r.service, 0, sizeof(r.service)));
        map(&r, &client);
    }
    return 0;
}
