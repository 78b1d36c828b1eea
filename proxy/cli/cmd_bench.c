/* `adit bench PEER`: ciphers of this machine, then both directions to a peer. */
#include "cli/cli.h"
#include "cli/node.h"
#include "control/lines.h"
#include "policy/config.h"

#include <adit/bench.h>
#include <base/mem.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum {
    SECONDS = 3,
    SECONDS_MAX = 10,
    CIPHER_MS = 300,
    CIPHER_PACKET = 1400,
};

struct bench {
    char peer[CONFIG_NAME_MAX + 1];
    const char *lane;
    char socket[PATHS_MAX];
    bool json;
    unsigned long seconds;
    uint64_t aes, chacha; /* bytes per second; 0 = this machine has it not */
    cJSON *results;       /* with json */
};

static cJSON *add(cJSON *to, const char *name, double value)
{
    return cJSON_AddNumberToObject(to, name, value);
}

/* --- ciphers --- */

static void print_cipher(const char *name, uint64_t rate)
{
    if (rate == 0) {
        (void)printf("  %-18s not on this machine: it has not the instructions\n", name);
    } else {
        (void)printf("  %-18s %.2f GB/s\n", name, (double)rate / 1e9);
    }
}

static void measure_ciphers(struct bench *b)
{
    b->aes = adit_bench_aead(ADIT_AEAD_AES256GCM, CIPHER_PACKET, CIPHER_MS);
    b->chacha = adit_bench_aead(ADIT_AEAD_CHACHA20POLY1305, CIPHER_PACKET, CIPHER_MS);
    if (!b->json) {
        (void)printf("this machine seals packets of %d bytes, on one core:\n", CIPHER_PACKET);
        print_cipher("AES-256-GCM", b->aes);
        print_cipher("ChaCha20-Poly1305", b->chacha);
        (void)fflush(stdout);
    }
}

static void print_choice(const struct bench *b, const char *aead)
{
    if (strcmp(aead, "aes256gcm") == 0) {
        (void)printf("%s: AES-256-GCM, since both machines have the instructions for it\n",
                     b->peer);
    } else if (strcmp(aead, "chacha20poly1305") == 0) {
        (void)printf("%s: ChaCha20-Poly1305, since %s the instructions for AES\n", b->peer,
                     b->aes == 0 ? "this machine has not" : "the peer has not");
    }
}

/* --- directions --- */

static void print_path(const struct bench *b, const cJSON *root)
{
    const cJSON *path = cJSON_GetObjectItemCaseSensitive(root, "path");
    const char *kind = lines_text_of(path, "kind", "none");
    bool relay = strcmp(kind, "relay") == 0;
    double changes = lines_number_of(root, "path_changes", 0);
    (void)printf("  %-9s over %s %s",
                 strcmp(lines_text_of(root, "direction", ""), "up") == 0 ? "to it" : "from it",
                 kind, lines_text_of(path, relay ? "relay" : "address", "?"));
    if (strcmp(b->lane, "any") != 0) {
        (void)printf(" (bound to %s)", b->lane);
    } else if (changes > 0) {
        (void)printf(" (the path changed %.0f times meanwhile)", changes);
    }
}

static void print_result(const struct bench *b, const cJSON *root)
{
    const cJSON *trips = cJSON_GetObjectItemCaseSensitive(root, "round_trips");
    char text[128];
    struct lines l = {text, sizeof(text)};
    lines_add_bytes(&l, lines_number_of(root, "bytes", 0));
    print_path(b, root);
    (void)printf(": %.1f Mbit/s, %s in %.1f s\n", lines_number_of(root, "bits_per_s", 0) / 1e6,
                 text, lines_number_of(root, "took_us", 0) / 1e6);
    if (lines_number_of(trips, "count", 0) > 0) {
        (void)printf(
            "            round trips meanwhile: %.1f ms at best, %.1f ms mostly, %.1f ms at "
            "worst\n",
            lines_number_of(trips, "min_us", 0) / 1000,
            lines_number_of(trips, "median_us", 0) / 1000,
            lines_number_of(trips, "max_us", 0) / 1000);
    }
    (void)fflush(stdout);
}

static int measure(struct bench *b, const char *way, bool first)
{
    char path[CONFIG_NAME_MAX + 48];
    char *body = NULL;
    size_t len = 0;
    (void)snprintf(path, sizeof(path), "/bench/%s/%s/%lu/%s", b->peer, way, b->seconds, b->lane);
    int code = node_ask(b->socket, path, &body, &len);
    if (code != EX_OK) {
        return code;
    }
    cJSON *root = cJSON_ParseWithLength(body, len);
    mem_free(body);
    if (!cJSON_IsNumber(cJSON_GetObjectItemCaseSensitive(root, "bytes"))) {
        cJSON_Delete(root);
        cli_error("the node's answer cannot be read");
        return EX_PROTOCOL;
    }
    if (b->json) {
        return cJSON_AddItemToArray(b->results, root) ? EX_OK : EX_OSERR;
    }
    if (first) {
        print_choice(b, lines_text_of(root, "aead", ""));
    }
    print_result(b, root);
    cJSON_Delete(root);
    return EX_OK;
}

static int print_json(const struct bench *b, cJSON *root)
{
    cJSON *ciphers = cJSON_AddObjectToObject(root, "ciphers");
    (void)add(ciphers, "aes256gcm_bytes_per_s", (double)b->aes);
    (void)add(ciphers, "chacha20poly1305_bytes_per_s", (double)b->chacha);
    char *text = cJSON_Print(root);
    if (text) {
        (void)puts(text);
    }
    cJSON_free(text);
    return text ? EX_OK : EX_OSERR;
}

static int run_all(struct bench *b)
{
    cJSON *root = cJSON_CreateObject();
    b->results = cJSON_AddArrayToObject(root, "directions");
    measure_ciphers(b);
    int code = measure(b, "up", true);
    if (code == EX_OK) {
        code = measure(b, "down", false);
    }
    if (code == EX_OK && b->json) {
        code = print_json(b, root);
    }
    cJSON_Delete(root);
    return code;
}

static bool parse_seconds(const char *text, unsigned long *out)
{
    char *end;
    *out = strtoul(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && *out >= 1 && *out <= SECONDS_MAX;
}

static int run(const struct cli_call *call)
{
    const char *seconds = cli_value(call, "seconds");
    const char *lane = cli_value(call, "path");
    struct bench b = {
        .lane = lane ? lane : "any", .json = cli_value(call, "json") != NULL, .seconds = SECONDS};
    if (seconds && !parse_seconds(seconds, &b.seconds)) {
        return cli_usage_error(call->command, "--seconds wants a number from 1 to %d", SECONDS_MAX);
    }
    if (strcmp(b.lane, "any") != 0 && strcmp(b.lane, "direct") != 0 &&
        strcmp(b.lane, "relay") != 0) {
        return cli_usage_error(call->command, "--path wants any, direct or relay");
    }
    int code = node_take_name(call->command, call->arguments[0], b.peer);
    if (code == EX_OK) {
        code = node_find_socket(call, b.socket);
    }
    return code == EX_OK ? run_all(&b) : code;
}

const struct cli_command cmd_bench = {
    .name = "bench",
    .arguments = "PEER",
    .line = "measure this machine's ciphers, and how fast data gets to a peer and back",
    .more =
        "Through the running node, over the session that there is. The peer's ini has to say\n"
        "`bench = yes` in [node]; it is 3 s of traffic each way, or as long as --seconds says.\n"
        "The exit code is 69 if the peer does not answer or does not let itself be measured.",
    .arguments_min = 1,
    .arguments_max = 1,
    .run = run,
    .options =
        {
            {'c', "config", "FILE", "the ini instead of ~/.config/adit/adit.ini"},
            {0, "socket", "PATH", "the control socket, whatever the ini says"},
            {0, "seconds", "N", "each way, 1 to 10"},
            {0, "path", "KIND", "any (as it is), direct or relay: on such a path or not at all"},
            {0, "json", NULL, "everything, as JSON"},
        },
};
