/* `adit ping PEER`: round trips to a peer's node, and which way they go. */
#include "cli/cli.h"
#include "cli/node.h"
#include "policy/config.h"

#include <base/mem.h>

#include <cjson/cJSON.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <uv.h>

enum {
    COUNT = 5,
    COUNT_MAX = 1000000,
    PAUSE_MS = 1000,
    UNTIL_DIRECT_COUNT = 120,
    UNTIL_DIRECT_PAUSE_MS = 250,
};

struct ping {
    char peer[CONFIG_NAME_MAX + 1];
    bool json, until_direct;
    unsigned long count;
    char socket[PATHS_MAX];
    uint64_t start_ns;
    bool relayed; /* an answer came by a relay: the direct path is news */
    bool direct;  /* the last one came directly */
    unsigned long answered;
};

static double seconds_since(uint64_t start_ns)
{
    return (double)(uv_hrtime() - start_ns) / 1e9;
}

static const char *text_of(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsString(item) ? item->valuestring : "";
}

/* --- what is said --- */

/* One line; `root` NULL: nothing came back. */
static void print_json(const struct ping *p, cJSON *root)
{
    cJSON *line = root ? root : cJSON_CreateObject();
    if (!root) {
        (void)cJSON_AddStringToObject(line, "peer", p->peer);
        (void)cJSON_AddNullToObject(line, "rtt_us");
        (void)cJSON_AddNullToObject(line, "path");
    }
    (void)cJSON_AddNumberToObject(line, "after_s", seconds_since(p->start_ns));
    char *text = cJSON_PrintUnformatted(line);
    if (text) {
        (void)puts(text);
    }
    cJSON_free(text);
    if (!root) {
        cJSON_Delete(line);
    }
}

static void print_text(const struct ping *p, const cJSON *root, bool news)
{
    const cJSON *path = cJSON_GetObjectItemCaseSensitive(root, "path");
    const cJSON *rtt = cJSON_GetObjectItemCaseSensitive(root, "rtt_us");
    (void)printf("%s: %.6s %.80s %.1f ms\n", p->peer, text_of(path, "kind"),
                 text_of(path, p->direct ? "address" : "relay"),
                 cJSON_IsNumber(rtt) ? rtt->valuedouble / 1000 : 0);
    if (news) {
        (void)printf("%s: direct after %.1f s\n", p->peer, seconds_since(p->start_ns));
    }
}

static int take(struct ping *p, const char *json, size_t len)
{
    cJSON *root = cJSON_ParseWithLength(json, len);
    const cJSON *path = cJSON_GetObjectItemCaseSensitive(root, "path");
    if (!cJSON_IsObject(path)) {
        cJSON_Delete(root);
        cli_error("the node's answer cannot be read");
        return EX_PROTOCOL;
    }
    bool was_direct = p->direct;
    p->direct = strcmp(text_of(path, "kind"), "direct") == 0;
    p->relayed = p->relayed || !p->direct;
    p->answered++;
    if (p->json) {
        print_json(p, root);
    } else {
        print_text(p, root, p->direct && !was_direct && p->relayed);
    }
    cJSON_Delete(root);
    return EX_OK;
}

/* --- asking --- */

static int ping_once(struct ping *p)
{
    char path[CONFIG_NAME_MAX + 16];
    char *body = NULL;
    size_t len = 0;
    (void)snprintf(path, sizeof(path), "/ping/%s", p->peer);
    int code = node_ask(p->socket, path, &body, &len);
    if (code == EX_OK) {
        code = take(p, body, len);
        mem_free(body);
    } else if (code == EX_TEMPFAIL) {
        code = EX_OK;
        p->direct = false;
        if (p->json) {
            print_json(p, NULL);
        } else {
            (void)printf("%s: no answer\n", p->peer);
        }
    }
    (void)fflush(stdout);
    return code;
}

static void pause_since(uint64_t start_ns, unsigned pause_ms)
{
    uint64_t passed_ms = (uv_hrtime() - start_ns) / 1000000;
    if (passed_ms < pause_ms) {
        (void)poll(NULL, 0, (int)(pause_ms - passed_ms));
    }
}

static int conclude(const struct ping *p)
{
    if (p->answered == 0) {
        cli_error("%s does not answer; `adit why %s` says what is known", p->peer, p->peer);
        return EX_UNAVAILABLE;
    }
    if (p->until_direct && !p->direct) {
        cli_error("%s is not reached directly; `adit why %s` says why", p->peer, p->peer);
        return EX_UNAVAILABLE;
    }
    return EX_OK;
}

static int ping_all(struct ping *p)
{
    p->start_ns = uv_hrtime();
    for (unsigned long i = 0; i < p->count; i++) {
        uint64_t start_ns = uv_hrtime();
        int code = ping_once(p);
        if (code != EX_OK) {
            return code;
        }
        if (p->until_direct && p->direct) {
            break;
        }
        if (i + 1 < p->count) {
            pause_since(start_ns, p->until_direct ? UNTIL_DIRECT_PAUSE_MS : PAUSE_MS);
        }
    }
    return conclude(p);
}

static bool parse_count(const char *text, unsigned long *out)
{
    char *end;
    *out = strtoul(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && *out >= 1 && *out <= COUNT_MAX;
}

static int run(const struct cli_call *call)
{
    const char *count = cli_value(call, "count");
    struct ping p = {.json = cli_value(call, "json") != NULL,
                     .until_direct = cli_value(call, "until-direct") != NULL};
    p.count = p.until_direct ? UNTIL_DIRECT_COUNT : COUNT;
    if (count && !parse_count(count, &p.count)) {
        return cli_usage_error(call->command, "--count wants a number from 1 to %d", COUNT_MAX);
    }
    int code = node_take_name(call->command, call->arguments[0], p.peer);
    if (code == EX_OK) {
        code = node_find_socket(call, p.socket);
    }
    return code == EX_OK ? ping_all(&p) : code;
}

const struct cli_command cmd_ping = {
    .name = "ping",
    .arguments = "PEER",
    .line = "measure round trips to a peer, and say which way they go",
    .more = "Each is one small packet inside the session, on the path in use, answered by the\n"
            "peer's node at once. It sets up the session if there is none, and has a direct path\n"
            "looked for. 5 times, once a second, or as often as --count says. The exit code is 0\n"
            "if an answer came, 69 if none did, 68 if there is no such peer.",
    .arguments_min = 1,
    .arguments_max = 1,
    .run = run,
    .options =
        {
            {'c', "count", "N", "how many"},
            {0, "until-direct", NULL, "until one goes directly; 69 if none of 120 (or N) does"},
            {0, "config", "FILE", "the ini instead of ~/.config/adit/adit.ini"},
            {0, "socket", "PATH", "the control socket, whatever the ini says"},
            {0, "json", NULL, "one JSON object per line"},
        },
};
