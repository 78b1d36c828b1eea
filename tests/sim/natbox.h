/* A NAT for one public IPv4 address, of any behaviour that RFC 4787 names.
 *
 *   mapping    which packets of an inside address leave from the same outside port: all (EIM),
 * those to one IP (ADM), those to one IP and port (APDM) filtering  who may answer to that port:
 * anybody (EIF), the IPs it was used towards (ADF), the IPs and ports (APDF) ports      random, one
 * after the other, or the inside port while that is free
 *
 * A mapping ends when nothing has left by it for idle_ns, and, with life_ns, so long after it was
 * made however much it is used. Ports are those from 1024 up.
 */
#ifndef SIM_NATBOX_H
#define SIM_NATBOX_H

#include <base/addr.h>
#include <base/rng.h>

#include <stdbool.h>
#include <stddef.h>

enum natbox_mapping { NATBOX_NONE, NATBOX_EIM, NATBOX_ADM, NATBOX_APDM };
enum natbox_filtering { NATBOX_EIF, NATBOX_ADF, NATBOX_APDF };
enum natbox_ports { NATBOX_RANDOM, NATBOX_SEQUENTIAL, NATBOX_PRESERVING };

struct natbox_config {
    enum natbox_mapping mapping; /* NONE: there is no NAT */
    enum natbox_filtering filtering;
    enum natbox_ports ports;
    uint64_t idle_ns;    /* 0 = 120 s */
    uint64_t life_ns;    /* 0 = without end */
    size_t mappings_max; /* 0 = 1024; past that nothing new gets out */
};

struct natbox_map;

struct natbox {
    struct natbox_config config;
    struct addr outside; /* port 0 */
    struct rng rng;
    struct natbox_map *maps;
    size_t count;
    uint16_t next_port;
    uint64_t made, filtered, unmapped, no_room;
};

void natbox_init(struct natbox *n, const struct natbox_config *config, const struct addr *outside,
                 struct rng rng);
void natbox_deinit(struct natbox *n);
/* A packet from inside: under which address it goes on. False: it does not. */
bool natbox_out(struct natbox *n, const struct addr *inside, const struct addr *to,
                struct addr *from, uint64_t now);
/* A packet for a port of the outside address: to whom it goes on. False: it does not. */
bool natbox_in(struct natbox *n, uint16_t port, const struct addr *from, struct addr *inside,
               uint64_t now);
/* As after a restart of the router. */
void natbox_flush(struct natbox *n);

#endif
