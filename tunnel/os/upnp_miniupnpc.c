#include "os/upnp.h"

#include "os/sysrng.h"

#include <base/rng.h>

#include <errno.h>
#include <miniupnpc/miniupnpc.h>
#include <miniupnpc/upnpcommands.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
    PORT_TRIES = 4,
    PORT_MIN = 1024,
    TTL = 2,
    PORT_TEXT = 8,
    /* errors of the protocol (WANIPConnection:2 section 2.5) */
    INVALID_ARGS = 402, /* some routers' word for ONLY_PERMANENT */
    ACTION_FAILED = 501,
    NOT_AUTHORIZED = 606,
    NO_SUCH_ENTRY = 714,
    CONFLICT = 718,
    ONLY_PERMANENT = 725,
    CONFLICT_OTHER = 729,
};

/* --- finding --- */

/* "http://HOST:PORT/..." or "http://HOST/..." with the gateway as HOST. */
static bool is_at(const char *url, const struct addr *gateway)
{
    static const char scheme[] = "http://";
    char host[ADDR_TEXT_MAX];
    (void)addr_format_ip(gateway, host);
    size_t len = strlen(host);
    return url && strncmp(url, scheme, sizeof(scheme) - 1) == 0 &&
           strncmp(url + sizeof(scheme) - 1, host, len) == 0 &&
           strchr(":/", url[sizeof(scheme) - 1 + len]) != NULL;
}

static bool keep(char *to, size_t cap, const char *from)
{
    size_t len = from ? strlen(from) : 0;
    if (len == 0 || len >= cap) {
        return false;
    }
    memcpy(to, from, len + 1);
    return true;
}

/* Reads one device's description. */
static bool describe(struct upnp_router *r, const char *url, const struct addr *gateway)
{
    struct UPNPUrls urls = {0};
    struct IGDdatas data = {0};
    char lan[ADDR_TEXT_MAX];
    if (!UPNP_GetIGDFromUrl(url, &urls, &data, lan, sizeof(lan))) {
        return false;
    }
    bool ok = is_at(urls.controlURL, gateway) &&
              keep(r->control, sizeof(r->control), urls.controlURL) &&
              keep(r->service, sizeof(r->service), data.first.servicetype);
    FreeUPNPUrls(&urls);
    return ok;
}

int upnp_find(struct upnp_router *r, const struct addr *gateway, const struct addr *client)
{
    static const char *const kinds[] = {
        "urn:schemas-upnp-org:device:InternetGatewayDevice:1",
        "urn:schemas-upnp-org:device:InternetGatewayDevice:2",
        NULL,
    };
    char from[ADDR_TEXT_MAX];
    int err = 0;
    (void)addr_format_ip(client, from);
    struct UPNPDev *list =
        upnpDiscoverDevices(kinds, UPNP_FIND_MS, from, NULL, UPNP_LOCAL_PORT_ANY, 0, TTL, &err, 0);
    bool found = false;
    for (const struct UPNPDev *d = list; d && !found; d = d->pNext) {
        found = is_at(d->descURL, gateway) && describe(r, d->descURL, gateway);
    }
    freeUPNPDevlist(list);
    if (!found) {
        r->control[0] = '\0';
    }
    return found ? 0 : -ENOENT;
}

/* --- mapping --- */

/* 0 or what the router or the library says. */
static int add(const struct upnp_router *r, const struct addr *client, uint16_t port,
               uint32_t lifetime_s)
{
    char outside[PORT_TEXT], inside[PORT_TEXT], lifetime[16], host[ADDR_TEXT_MAX];
    (void)snprintf(outside, sizeof(outside), "%u", (unsigned)port);
    (void)snprintf(inside, sizeof(inside), "%u", (unsigned)client->port);
    (void)snprintf(lifetime, sizeof(lifetime), "%u", (unsigned)lifetime_s);
    return UPNP_AddPortMapping(r->control, r->service, outside, inside,
                               addr_format_ip(client, host), "adit", "UDP", NULL, lifetime);
}

/* With a lifetime where the router can, for good where not. */
static int add_some_way(const struct upnp_router *r, const struct addr *client, uint16_t port,
                        uint32_t *lifetime_s)
{
    *lifetime_s = UPNP_LIFETIME_S;
    int rc = add(r, client, port, *lifetime_s);
    if (rc == ONLY_PERMANENT || rc == INVALID_ARGS) {
        *lifetime_s = 0;
        rc = add(r, client, port, 0);
    }
    return rc;
}

static uint16_t some_port(void)
{
    return (uint16_t)(PORT_MIN + rng_below(sys_rng(), UINT16_MAX - PORT_MIN));
}

static int read_external(const struct upnp_router *r, struct addr *out)
{
    char text[64] = "";
    if (UPNP_GetExternalIPAddress(r->control, r->service, text) != UPNPCOMMAND_SUCCESS ||
        addr_parse_ip(out, text) != 0 || addr_is_unspecified(out) || addr_is_loopback(out)) {
        return -EIO;
    }
    return 0;
}

int upnp_map(const struct upnp_router *r, const struct addr *client, uint16_t suggested,
             struct upnp_mapping *out)
{
    uint16_t port = suggested;
    int rc = CONFLICT;
    for (int i = 0; i < PORT_TRIES; i++) {
        rc = add_some_way(r, client, port, &out->lifetime_s);
        if (rc != CONFLICT && rc != CONFLICT_OTHER && rc != ACTION_FAILED) {
            break;
        }
        port = some_port();
    }
    if (rc != UPNPCOMMAND_SUCCESS) {
        return rc == NOT_AUTHORIZED || rc > ACTION_FAILED ? -EACCES : -EIO;
    }
    if (read_external(r, &out->external) != 0) {
        (void)upnp_unmap(r, port);
        return -EIO;
    }
    out->external.port = port;
    return 0;
}

int upnp_unmap(const struct upnp_router *r, uint16_t port)
{
    char outside[PORT_TEXT];
    (void)snprintf(outside, sizeof(outside), "%u", (unsigned)port);
    int rc = UPNP_DeletePortMapping(r->control, r->service, outside, "UDP", NULL);
    return rc == UPNPCOMMAND_SUCCESS || rc == NO_SUCH_ENTRY ? 0 : -EIO;
}
