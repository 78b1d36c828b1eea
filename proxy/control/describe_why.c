/* The JSON of /why and /route as lines for people. */
#include "control/lines.h"
#include "control/why.h"

#include <base/mem.h>

#include <string.h>

enum { LINE_MAX_LEN = 320 };

static void add_s(struct lines *l, const char *before, double s, const char *after)
{
    if (s >= 0) {
        lines_add(l, s < 120 ? "%s%.0f s%s" : "%s%.0f min%s", before, s < 120 ? s : s / 60, after);
    }
}

static const char *where_of(const cJSON *object)
{
    bool relay = strcmp(lines_text_of(object, "kind", ""), "relay") == 0;
    return lines_text_of(object, relay ? "relay" : "address", "?");
}

static void add_path(struct lines *l, const cJSON *path)
{
    lines_add(l, "  %s %.6s %.60s", lines_is_true(path, "used") ? "*" : " ",
              lines_text_of(path, "kind", "?"), where_of(path));
    lines_add_ms(l, "  rtt ", lines_number_of(path, "rtt_us", -1));
    add_s(l, "  answered ", lines_number_of(path, "last_answer_s", -1), " ago");
    lines_add(l, "  sent ");
    lines_add_bytes(l, lines_number_of(path, "bytes_sent", 0));
    lines_add(l, "%s\n      %.150s\n",
              lines_is_true(path, "extra_socket") ? "  by a socket of its own" : "",
              lines_text_of(path, "reason", "?"));
}

static void add_candidate(struct lines *l, const cJSON *c)
{
    lines_add(l, "    %-16.16s %.60s", lines_text_of(c, "kind", "?"),
              lines_text_of(c, "address", "?"));
    if (lines_is_true(c, "answered")) {
        lines_add(l, "  answers");
        lines_add_ms(l, ", rtt ", lines_number_of(c, "rtt_us", -1));
    } else if (lines_number_of(c, "probes", 0) > 0) {
        lines_add(l, "  asked %.0f times", lines_number_of(c, "probes", 0));
        add_s(l, ", last ", lines_number_of(c, "last_probe_s", -1), " ago");
    }
    lines_add(l, "\n      %.150s\n", lines_text_of(c, "reason", "?"));
}

static void add_search(struct lines *l, const cJSON *root)
{
    double wait = lines_number_of(root, "birthday_wait_s", -1);
    lines_add(l, "  our NAT: %.40s mapping; theirs: %.40s", lines_text_of(root, "our_mapping", "?"),
              lines_text_of(root, "their_nat", "?"));
    if (lines_is_true(root, "searching")) {
        add_s(l, "; looking for a direct path since ", lines_number_of(root, "searching_s", -1),
              "");
    }
    lines_add(l, "; guessing ports: %.20s", lines_text_of(root, "birthday", "?"));
    add_s(l, ", next in ", wait, "");
    lines_add(l, "\n");
}

static void add_own(struct lines *l, const cJSON *own)
{
    const cJSON *item;
    lines_add(l, "  what it is told of us:\n");
    cJSON_ArrayForEach(item, own)
    {
        lines_add(l, "    %-16.16s %.60s\n", lines_text_of(item, "kind", "?"),
                  lines_text_of(item, "address", "?"));
    }
}

static void describe(struct lines *l, const cJSON *root)
{
    const cJSON *item;
    lines_add(l, "%.63s: %.200s\n", lines_text_of(root, "peer", "?"),
              lines_text_of(root, "text", "?"));
    add_search(l, root);
    lines_add(l, "  paths (* in use):\n");
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(root, "paths"))
    {
        add_path(l, item);
    }
    lines_add(l, "  addresses that it has named:\n");
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(root, "candidates"))
    {
        add_candidate(l, item);
    }
    add_own(l, cJSON_GetObjectItemCaseSensitive(root, "our_candidates"));
}

static size_t count_of(const cJSON *root, const char *name)
{
    return (size_t)cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(root, name));
}

char *control_describe_why(const char *json, size_t len)
{
    cJSON *root = cJSON_ParseWithLength(json, len);
    char *out = NULL;
    if (cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(root, "paths"))) {
        size_t count = 6 + 2 * count_of(root, "paths") + 2 * count_of(root, "candidates") +
                       count_of(root, "our_candidates");
        out = mem_new(count, LINE_MAX_LEN);
        struct lines l = {out, count * LINE_MAX_LEN};
        if (out) {
            describe(&l, root);
        }
    }
    cJSON_Delete(root);
    return out;
}

static void describe_route(struct lines *l, const cJSON *root)
{
    const cJSON *path = cJSON_GetObjectItemCaseSensitive(root, "path");
    const char *state = lines_text_of(root, "state", NULL);
    const char *rule = lines_text_of(root, "rule", NULL);
    lines_add(l, "%.300s: %.300s\n", lines_text_of(root, "target", "?"),
              lines_text_of(root, "text", "?"));
    if (rule) {
        lines_add(l, "  by [route] %.290s\n", rule);
    }
    if (strcmp(lines_text_of(root, "goes", ""), "peer") != 0) {
        return;
    }
    if (!state) {
        lines_add(l, "  no node is running: nothing is known of the peer\n");
    } else if (strcmp(lines_text_of(path, "kind", "none"), "none") == 0) {
        lines_add(l, "  the peer is %.20s\n", state);
    } else {
        lines_add(l, "  the peer is %.20s, %.6s %.60s\n", state, lines_text_of(path, "kind", "?"),
                  where_of(path));
    }
    lines_add(l,
              "  there it is asked for %.300s; its own `allow` list decides, which only it "
              "knows\n",
              lines_text_of(root, "exit_target", "?"));
}

char *control_describe_route(const char *json, size_t len)
{
    cJSON *root = cJSON_ParseWithLength(json, len);
    char *out = NULL;
    if (cJSON_IsString(cJSON_GetObjectItemCaseSensitive(root, "goes"))) {
        out = mem_new(8, LINE_MAX_LEN);
        struct lines l = {out, 8 * LINE_MAX_LEN};
        if (out) {
            describe_route(&l, root);
        }
    }
    cJSON_Delete(root);
    return out;
}
