#include "os/gateway.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/sockaddr.h"

enum { LINE = 256, RTF_GATEWAY_FLAG = 0x2 };

/* /proc/net/route, addresses in the machine's byte order: the default route of least metric. */
static bool read_route(struct addr *gateway)
{
    FILE *file = fopen("/proc/net/route", "re");
    char line[LINE];
    unsigned best = ~0U;
    while (file && fgets(line, sizeof(line), file)) {
        unsigned destination, router, flags, metric, mask;
        int fields = sscanf(line, "%*s %x %x %x %*d %*d %u %x", &destination, &router, &flags,
                            &metric, &mask);
        bool usable = fields == 5 && destination == 0 && mask == 0 && router != 0 &&
                      (flags & RTF_GATEWAY_FLAG) != 0;
        if (usable && metric < best) {
            best = metric;
            *gateway = (struct addr){.family = ADDR_IPV4};
            memcpy(gateway->ip, &router, 4);
        }
    }
    if (file) {
        (void)fclose(file);
    }
    return best != ~0U;
}

/* The address that the system would use towards it; nothing is sent. */
static bool find_source(const struct addr *gateway, struct addr *client)
{
    struct addr to = *gateway;
    struct sockaddr_storage storage;
    socklen_t len = sizeof(storage);
    to.port = 5351;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    socklen_t to_len = sockaddr_encode(&storage, &to, AF_INET);
    bool ok = connect(fd, (const struct sockaddr *)&storage, to_len) == 0 &&
              getsockname(fd, (struct sockaddr *)&storage, &len) == 0;
    (void)close(fd);
    *client = ok ? sockaddr_decode(&storage, len) : (struct addr){0};
    client->port = 0;
    return ok && client->family == ADDR_IPV4;
}

bool gateway_find(struct addr *gateway, struct addr *client)
{
    return read_route(gateway) && find_source(gateway, client);
}
