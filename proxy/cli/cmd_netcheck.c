/* `adit netcheck`: what the network allows, measured without a node. */
#include "cli/cli.h"

#include "app/load.h"
#include "app/nodeconfig.h"
#include "control/control.h"
#include "control/put.h"

#include <adit/netcheck.h>
#include <base/clock.h>

#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { TURNS_MAX = 100 };

/* --- words --- */

static const char *portmap_name(enum adit_portmap portmap)
{
    switch (portmap) {
    case ADIT_PORTMAP_PCP:
        return "pcp";
    case ADIT_PORTMAP_NATPMP:
        return "natpmp";
    case ADIT_PORTMAP_UPNP:
        return "upnp";
    case ADIT_PORTMAP_NONE:
        break;
    }
    return "none";
}

static const char *portmap_title(enum adit_portmap portmap)
{
    return portmap == ADIT_PORTMAP_UPNP ? "UPnP" : portmap == ADIT_PORTMAP_PCP ? "PCP" : "NAT-PMP";
}

/* Why a relay gave no good answer; NULL if it did. */
static const char *trouble(const struct adit_netcheck_relay *r, char text[64])
{
    if (r->answered) {
        return NULL;
    }
    if (r->status == 0) {
        return r->why[0] ? r->why : uv_strerror(r->error);
    }
    (void)snprintf(text, 64, "HTTP status %u: %s", r->status,
                   r->portal ? "a captive portal?" : "no relay");
    return text;
}

/* --- for programs --- */

static uint64_t microseconds(uint64_t ns)
{
    return ns == 0 ? CONTROL_UNKNOWN : ns / NS_PER_US;
}

static void put_family(struct builder *b, cJSON *root, const char *name,
                       const struct adit_netcheck_family *f)
{
    char text[ADDR_TEXT_MAX];
    cJSON *family = put_object(b, root, name);
    put_bool(b, family, "asked", f->asked);
    put_bool(b, family, "udp", f->udp);
    put_text(b, family, "mapping", f->mapping);
    put_text(b, family, "filtering", f->filtering);
    put_bool(b, family, "port_preserved", f->port_preserved);
    put_bool(b, family, "sequential", f->step != 0);
    cJSON *addresses = put_array(b, family, "addresses");
    for (size_t i = 0; i < f->public_count; i++) {
        put_text_item(b, addresses, addr_format_ip(&f->publics[i], text));
    }
}

static void put_portmap(struct builder *b, cJSON *root, const struct adit_netcheck_report *r)
{
    char text[ADDR_TEXT_MAX];
    bool mapped = r->portmap != ADIT_PORTMAP_NONE;
    cJSON *portmap = put_object(b, root, "portmap");
    put_text(b, portmap, "service", portmap_name(r->portmap));
    put_text(b, portmap, "gateway",
             r->gateway.family == ADDR_NONE ? NULL : addr_format_ip(&r->gateway, text));
    put_text(b, portmap, "address", mapped ? addr_format(&r->portmapped, text) : NULL);
    put_bool(b, portmap, "upnp", r->upnp);
    put_bool(b, portmap, "behind_another_nat", r->behind_another_nat);
}

static void put_relay(struct builder *b, cJSON *relays, const struct adit_netcheck_relay *r)
{
    char text[64];
    cJSON *relay = put_item(b, relays);
    put_text(b, relay, "name", r->config->name);
    put_text(b, relay, "host", r->config->host);
    put_number(b, relay, "port", r->config->port);
    put_bool(b, relay, "answered", r->answered);
    put_number(b, relay, "connect_us", microseconds(r->connect_ns));
    put_number(b, relay, "answer_us", microseconds(r->answer_ns));
    put_text(b, relay, "error", trouble(r, text));
}

static void print_json(const struct adit_netcheck_report *r)
{
    struct builder b = {0};
    cJSON *root = cJSON_CreateObject();
    put_bool(&b, root, "captive_portal", r->captive_portal);
    put_bool(&b, root, "udp", r->ipv4.udp || r->ipv6.udp);
    put_text(&b, root, "verdict", r->text);
    put_number(&b, root, "stun_asked", r->stun_asked);
    put_number(&b, root, "stun_answered", r->stun_answered);
    put_family(&b, root, "ipv4", &r->ipv4);
    put_family(&b, root, "ipv6", &r->ipv6);
    put_portmap(&b, root, r);
    cJSON *relays = put_array(&b, root, "relays");
    for (size_t i = 0; i < r->relay_count; i++) {
        put_relay(&b, relays, &r->relays[i]);
    }
    char *text = put_end(&b, root);
    if (text) {
        (void)puts(text);
    }
    control_free(text);
}

/* --- for people --- */

static void print_udp(const struct adit_netcheck_report *r)
{
    if (r->stun_asked == 0) {
        (void)printf("UDP           not tried: no STUN server could be asked\n");
        return;
    }
    (void)printf("UDP           %s: %zu of %zu STUN servers answered\n",
                 r->stun_answered > 0 ? "works" : "does not get through", r->stun_answered,
                 r->stun_asked);
}

static void print_family(const char *name, const struct adit_netcheck_family *f)
{
    char text[ADDR_TEXT_MAX];
    if (!f->udp) {
        (void)printf("%s          %s\n", name, f->asked ? "no answer" : "not tried");
        return;
    }
    (void)printf("%s          seen as", name);
    for (size_t i = 0; i < f->public_count; i++) {
        (void)printf("%s %s", i > 0 ? "," : "", addr_format_ip(&f->publics[i], text));
    }
    if (strcmp(f->mapping, "none") == 0) {
        (void)printf("; no NAT");
    } else {
        (void)printf("; mapping %s%s%s", f->mapping, f->port_preserved ? ", port kept" : "",
                     f->step != 0 ? ", ports in sequence" : "");
    }
    (void)printf("; filtering %s\n", f->filtering);
}

static void print_portmap(const struct adit_netcheck_report *r)
{
    char gateway[ADDR_TEXT_MAX], outside[ADDR_TEXT_MAX];
    (void)addr_format_ip(&r->gateway, gateway);
    if (r->gateway.family == ADDR_NONE) {
        (void)printf("port mapping  not tried\n");
    } else if (r->portmap == ADIT_PORTMAP_NONE) {
        (void)printf("port mapping  none: the router %s speaks neither PCP nor NAT-PMP nor UPnP, "
                     "or refuses\n",
                     gateway);
    } else {
        bool both = r->upnp && r->portmap != ADIT_PORTMAP_UPNP;
        (void)printf("port mapping  %s%s by the router %s, outside %s%s\n",
                     portmap_title(r->portmap), both ? " and UPnP" : "", gateway,
                     addr_format_ip(&r->portmapped, outside),
                     r->behind_another_nat ? ", behind another NAT" : "");
    }
}

static void print_relay(const struct adit_netcheck_relay *r)
{
    char text[64];
    const char *why = trouble(r, text);
    (void)printf("relay         %s: ", r->config->name);
    if (why) {
        (void)printf("no answer (%s)\n", why);
    } else {
        (void)printf("%.1f ms, and %.1f ms to connect\n", (double)r->answer_ns / 1e6,
                     (double)r->connect_ns / 1e6);
    }
}

static void print_text(const struct adit_netcheck_report *r)
{
    print_udp(r);
    print_family("IPv4", &r->ipv4);
    print_family("IPv6", &r->ipv6);
    print_portmap(r);
    for (size_t i = 0; i < r->relay_count; i++) {
        print_relay(&r->relays[i]);
    }
    (void)printf("\n%s.\n", r->text);
}

/* --- running --- */

struct job {
    bool json, done;
    int code;
};

static void on_done(void *user, const struct adit_netcheck_report *r)
{
    struct job *job = user;
    job->done = true;
    job->code = r->answered ? EX_OK : EX_UNAVAILABLE;
    if (job->json) {
        print_json(r);
    } else {
        print_text(r);
    }
    if (r->stun_asked + r->relay_count == 0) {
        cli_error("there is nobody to ask: the ini should name `stun` servers and a relay");
    }
}

/* A look-up that was given up still occupies a thread, which the end of the process would wait
 * for: longer than anybody should wait for a check. */
static int leave(uv_loop_t *loop, int code)
{
    for (int i = 0; i < TURNS_MAX && uv_loop_alive(loop); i++) {
        (void)uv_run(loop, UV_RUN_NOWAIT);
    }
    if (uv_loop_close(loop) != 0) {
        (void)fflush(NULL);
        _exit(code);
    }
    return code;
}

static int check(const struct adit_config *node, bool json)
{
    uv_loop_t loop;
    struct job job = {.json = json};
    struct adit_netcheck *c;
    struct adit_netcheck_config config = {.listen = node->listen,
                                          .portmap = node->portmap,
                                          .stun = node->stun,
                                          .stun_count = node->stun_count,
                                          .relays = node->relays,
                                          .relay_count = node->relay_count};
    int err = uv_loop_init(&loop);
    if (err != 0) {
        cli_error("no event loop: %s", uv_strerror(err));
        return EX_OSERR;
    }
    err = adit_netcheck_start(&loop, &config, on_done, &job, &c);
    if (err != 0) {
        cli_error("no UDP socket: %s", uv_strerror(err));
        return leave(&loop, EX_OSERR);
    }
    while (!job.done) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    return leave(&loop, job.code);
}

static int run(const struct cli_call *call)
{
    const char *ini = cli_config(call);
    struct config *config = NULL;
    struct nodeconfig node;
    static const struct app_secrets none; /* nothing here needs a key */
    int code = ini ? load_config(ini, stderr, &config) : EX_CONFIG;
    if (code != EX_OK) {
        return code;
    }
    if (nodeconfig_init(&node, config, &none, NULL) != 0) {
        config_free(config);
        return EX_OSERR;
    }
    code = check(&node.node, cli_value(call, "json") != NULL);
    nodeconfig_deinit(&node);
    config_free(config);
    return code;
}

const struct cli_command cmd_netcheck = {
    .name = "netcheck",
    .arguments = "",
    .line = "measure what this network allows: UDP, the NAT, port mapping, the relays",
    .more = "It asks the STUN servers and relays that the ini names, and the router, from sockets\n"
            "of its own: no node has to run, and one that runs is not disturbed. It takes 5 s at\n"
            "most. The exit code is 0 when something answered, 69 (EX_UNAVAILABLE) when nothing\n"
            "did.",
    .run = run,
    .options =
        {
            {'c', "config", "FILE", "the ini instead of ~/.config/adit/adit.ini"},
            {0, "json", NULL, "everything, as JSON"},
        },
};
