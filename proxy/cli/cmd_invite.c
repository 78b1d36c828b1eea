/* `adit invite`: one line by which another machine gets to know this one (policy/invite.h). */
#include "cli/cli.h"
#include "cli/inifile.h"
#include "cli/pendingfile.h"

#include "app/load.h"
#include "policy/host.h"

#include <adit/key.h>
#include <base/err.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

enum {
    HOURS_DEFAULT = 24,
    HOURS_MAX = 720,
    SECONDS_PER_HOUR = 3600,
};

static void set_relay(struct invite *offer, const struct config_relay *relay)
{
    offer->has_relay = true;
    offer->relay = relay->url;
    offer->pins_count = relay->pins.count;
    for (size_t i = 0; i < relay->pins.count; i++) {
        offer->pins[i] = relay->pins.items[i];
    }
}

/* --relay, else the ini's first relay; without one the endpoint has to do. The node listens on all
 * of its relays, so one that is new to the ini is added to it. */
static int choose_relay(const struct cli_call *call, struct inifile *f, struct invite *offer,
                        char name[CONFIG_NAME_MAX + 1])
{
    const char *given = cli_value(call, "relay");
    const struct config_relays *relays = &f->config->relays;
    const struct config_relay *relay = given               ? inifile_find_relay(f, given)
                                       : relays->count > 0 ? &relays->items[0]
                                                           : NULL;
    if (!relay && given) {
        const char *why = config_parse_url(&offer->relay, given);
        if (why) {
            return cli_usage_error(call->command,
                                   "--relay: \"%.200s\" is the name of no [relay], and %s",
                                   cli_shown(given), why);
        }
        offer->has_relay = true;
        inifile_use_relay(f, &offer->relay, NULL, 0, name);
        relay = inifile_find_relay(f, name);
    }
    if (relay) {
        (void)snprintf(name, CONFIG_NAME_MAX + 1, "%s", relay->name);
        set_relay(offer, relay);
    }
    if (!offer->has_relay && offer->endpoint.port == 0) {
        cli_error("%s has no [relay]: `adit invite --relay URL` names and adds one", f->path);
        return EX_CONFIG;
    }
    return EX_OK;
}

static int choose_name(const struct cli_call *call, const struct inifile *f, struct invite *offer)
{
    const char *name = cli_value(call, "name");
    if (name && !inifile_is_name(name)) {
        return cli_usage_error(call->command,
                               "\"%.80s\" is no name: letters, digits and -, up to 63",
                               cli_shown(name));
    }
    char host[CONFIG_NAME_MAX + 1];
    const char *own = f->config->node.name[0] ? f->config->node.name : inifile_default_name(host);
    (void)config_set_name(offer->name, name ? name : own);
    return EX_OK;
}

static int choose_endpoint(const struct cli_call *call, struct invite *offer)
{
    const char *text = cli_value(call, "endpoint");
    struct config_endpoint *at = &offer->endpoint;
    if (text && (!host_split(at->host, &at->port, text, strlen(text)) || at->port == 0)) {
        return cli_usage_error(call->command, "--endpoint: \"%.200s\" is no HOST:PORT",
                               cli_shown(text));
    }
    return EX_OK;
}

/* Those of the usual form first: any STUN server of theirs answers others, too. */
static void add_stun(struct invite *offer, const struct config_endpoints *servers, bool derper)
{
    for (size_t i = 0; i < servers->count && offer->stun_count < INVITE_STUN_MAX; i++) {
        offer->stun[offer->stun_count++] =
            (struct invite_stun){.at = servers->items[i], .derper = derper};
    }
}

static int choose_hours(const struct cli_call *call, long *hours)
{
    const char *text = cli_value(call, "hours");
    char *end = NULL;
    *hours = text ? strtol(text, &end, 10) : HOURS_DEFAULT;
    if (text && (end == text || *end != '\0' || *hours < 1 || *hours > HOURS_MAX)) {
        return cli_usage_error(call->command, "--hours: \"%.40s\" is no number from 1 to %d", text,
                               HOURS_MAX);
    }
    return EX_OK;
}

/* The invitation is kept before it is shown: what was shown can be answered. */
static int keep(const struct inifile *f, const struct invite *offer, long hours, const char *relay)
{
    struct pending pending;
    struct pending_item item = {.expires_s =
                                    (uint64_t)time(NULL) + (uint64_t)hours * SECONDS_PER_HOUR};
    memcpy(item.token, offer->secret, sizeof(item.token));
    (void)snprintf(item.relay, sizeof(item.relay), "%s", relay);
    int code = pendingfile_read(f->config, &pending);
    if (code == EX_OK && pending_add(&pending, &item) != 0) {
        cli_error("%d invitations wait for an answer already; `adit invite --cancel` forgets them",
                  PENDING_MAX);
        code = EX_CANTCREAT;
    }
    if (code == EX_OK && f->added[0] != '\0') {
        code = inifile_save(f);
    }
    if (code == EX_OK) {
        code = pendingfile_write(f->config, &pending);
    }
    pending_wipe(&pending);
    adit_key_wipe(&item, sizeof(item));
    return code;
}

static void print(const struct inifile *f, const struct invite *offer, long hours,
                  const char *relay)
{
    char text[INVITE_TEXT_MAX];
    (void)printf("%s\n", invite_format(offer, text));
    (void)fflush(stdout);
    adit_key_wipe(text, sizeof(text));
    if (f->added[0] != '\0') {
        char key[INVITE_KEY_TEXT];
        (void)fprintf(stderr,
                      "\n[relay %s] is in %s now.\n"
                      "Unless the relay is open, its ini must have: allow = %s\n",
                      relay, f->path, invite_format_key(f->self.bytes, key));
    }
    (void)fprintf(stderr,
                  "\nThe line above is a secret. Within %ld hour%s, on the other machine:\n\n"
                  "    adit join 'THAT LINE'\n\n"
                  "and then here what `adit join` prints there. It is good for one machine.\n",
                  hours, hours == 1 ? "" : "s");
}

static int invite(const struct cli_call *call, struct inifile *f)
{
    struct invite offer = {.kind = INVITE_OFFER, .key = f->self};
    char relay[CONFIG_NAME_MAX + 1] = "";
    long hours = 0;
    int code = choose_name(call, f, &offer);
    code = code == EX_OK ? choose_endpoint(call, &offer) : code;
    code = code == EX_OK ? choose_hours(call, &hours) : code;
    code = code == EX_OK ? choose_relay(call, f, &offer, relay) : code;
    add_stun(&offer, &f->config->node.stun, false);
    add_stun(&offer, &f->config->node.stun_derper, true);
    adit_key_generate(offer.secret);
    code = code == EX_OK ? keep(f, &offer, hours, relay) : code;
    if (code == EX_OK) {
        print(f, &offer, hours, relay);
    }
    adit_key_wipe(&offer, sizeof(offer));
    return code;
}

static int cancel(const struct inifile *f)
{
    const struct pending none = {.count = 0};
    int code = pendingfile_write(f->config, &none);
    if (code == EX_OK) {
        (void)printf("no invitation of this node is good any more\n");
    }
    return code;
}

static int run(const struct cli_call *call)
{
    struct inifile f = {0};
    const char *ini = cli_config(call);
    if (!ini) {
        return EX_CONFIG;
    }
    int lock = inifile_lock(ini);
    int code = inifile_open(&f, ini);
    if (code == EX_OK) {
        code = cli_value(call, "cancel") ? cancel(&f) : invite(call, &f);
    }
    inifile_close(&f);
    inifile_unlock(lock);
    return code;
}

const struct cli_command cmd_invite = {
    .name = "invite",
    .arguments = "",
    .line = "print a line with which another machine gets to know this one",
    .more = "The line is for `adit join` there, which prints a line to run here: then each has a\n"
            "[peer] section for the other, and a secret of their own besides the keys. Whoever\n"
            "sees the invitation can answer it, once, and only what is run here counts. At most\n"
            "16 wait at a time.",
    .run = run,
    .options =
        {
            {'n', "name", "NAME", "what the other machine calls this one ([node] name)"},
            {'r', "relay", "URL",
             "where they meet: a URL, or the name of a [relay] (the ini's first)"},
            {'e', "endpoint", "HOST:PORT", "an address at which this machine can be reached"},
            {0, "hours", "N", "how long it is good (24)"},
            {0, "cancel", NULL, "forget all invitations that were not answered yet"},
            {'c', "config", "FILE", "the ini instead of ~/.config/adit/adit.ini"},
        },
};
