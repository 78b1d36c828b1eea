/* `adit join`: takes an invitation, or the answer to one (policy/invite.h). */
#include "cli/cli.h"
#include "cli/inifile.h"
#include "cli/keyfile.h"
#include "cli/pendingfile.h"

#include "app/load.h"
#include "app/paths.h"

#include <adit/file.h>
#include <adit/key.h>

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

struct join {
    const struct cli_call *call;
    struct inifile ini;
    struct invite given;
    char name[CONFIG_NAME_MAX + 1];  /* of the peer, here */
    char relay[CONFIG_NAME_MAX + 1]; /* of the [relay] here where it listens, or "" */
    char psk_file[CONFIG_NAME_MAX + 8];
    uint8_t psk[INVITE_SECRET_LEN];
};

/* The line may come on standard input: arguments are seen by every user of the machine. */
static int read_given(const struct cli_call *call, struct invite *out)
{
    char line[INVITE_TEXT_MAX + 1] = "";
    const char *text = call->arguments[0];
    if (strcmp(text, "-") == 0) {
        text = fgets(line, sizeof(line), stdin) ? line : "";
    }
    const char *why = invite_parse(out, text);
    adit_key_wipe(line, sizeof(line));
    if (why) {
        cli_error("this is no invitation: %s", why);
    }
    return why ? EX_DATAERR : EX_OK;
}

static const struct config_peer *find_by_key(const struct join *j)
{
    const struct config *config = j->ini.config;
    for (size_t i = 0; i < config->peers_count; i++) {
        if (memcmp(&config->peers[i].key, &j->given.key, sizeof(j->given.key)) == 0) {
            return &config->peers[i];
        }
    }
    return NULL;
}

/* An offer that was taken here already: its secret is that of the peer. Then only the answer may
 * have been lost, which nobody else can make again. */
static bool is_repeated(struct join *j)
{
    const struct config_peer *p = find_by_key(j);
    uint8_t kept[INVITE_SECRET_LEN];
    if (j->given.kind != INVITE_OFFER || !p || !p->psk.path ||
        load_key_file(&p->psk, j->ini.path, "psk", stderr, kept) != EX_OK) {
        return false;
    }
    invite_psk(j->psk, j->given.secret, &j->given.key, &j->ini.self);
    bool same = memcmp(kept, j->psk, sizeof(kept)) == 0; /* both are ours */
    adit_key_wipe(kept, sizeof(kept));
    return same;
}

static int check_peer(const struct join *j)
{
    const struct config *config = j->ini.config;
    const struct config_peer *named = config_find_peer(config, j->name);
    if (memcmp(&j->given.key, &j->ini.self, sizeof(j->ini.self)) == 0) {
        cli_error("this line was made by this very node; it is for another machine");
        return EX_DATAERR;
    }
    const struct config_peer *known = find_by_key(j);
    if (known) {
        cli_error("%s:%u: its key is known already, as [peer %s]", j->ini.path, known->line,
                  known->name);
        return EX_CANTCREAT;
    }
    if (named) {
        cli_error("%s:%u: there is another [peer %s] already; --name gives this one another name",
                  j->ini.path, named->line, named->name);
        return EX_CANTCREAT;
    }
    return EX_OK;
}

static int choose_name(struct join *j)
{
    const char *name = cli_value(j->call, "name");
    if (name && !inifile_is_name(name)) {
        return cli_usage_error(j->call->command,
                               "\"%.80s\" is no name: letters, digits and -, up to 63",
                               cli_shown(name));
    }
    (void)config_set_name(j->name, name ? name : j->given.name);
    (void)snprintf(j->psk_file, sizeof(j->psk_file), "%s.psk", j->name);
    return EX_OK;
}

static void add_endpoint(struct join *j)
{
    const struct config_endpoint *at = &j->given.endpoint;
    if (at->port != 0) {
        inifile_add(&j->ini, strchr(at->host, ':') ? "endpoint = [%s]:%u\n" : "endpoint = %s:%u\n",
                    at->host, (unsigned)at->port);
    }
}

static int add_peer(struct join *j)
{
    char key[INVITE_KEY_TEXT];
    const char *allow = cli_value(j->call, "allow");
    if (allow && strpbrk(allow, "\r\n#;")) {
        return cli_usage_error(j->call->command, "--allow is one line without # and ;");
    }
    inifile_add(&j->ini, "\n[peer %s]\nkey = %s\npsk = %s\n", j->name,
                invite_format_key(j->given.key.bytes, key), j->psk_file);
    if (j->relay[0] != '\0') {
        inifile_add(&j->ini, "relay = %s\n", j->relay);
    }
    add_endpoint(j);
    if (allow) {
        inifile_add(&j->ini, "allow = %s\n", allow);
    } else {
        inifile_add(&j->ini,
                    "# What %s may reach through this machine; nothing unless it is listed:\n"
                    "# allow = localhost:8080\n",
                    j->name);
    }
    return EX_OK;
}

static int write_psk(const struct join *j)
{
    char folder[PATHS_MAX];
    char path[PATHS_MAX + CONFIG_NAME_MAX + 16];
    char text[INVITE_KEY_TEXT + 1];
    char key[INVITE_KEY_TEXT];
    (void)snprintf(path, sizeof(path), "%s/%s", paths_folder(j->ini.path, folder), j->psk_file);
    if (keyfile_exists(path)) {
        cli_error("%s exists already and is not overwritten; remove it, or give another --name",
                  path);
        return EX_CANTCREAT;
    }
    (void)snprintf(text, sizeof(text), "%s\n", invite_format_key(j->psk, key));
    int code = keyfile_write(path, text, 0600);
    adit_key_wipe(text, sizeof(text));
    adit_key_wipe(key, sizeof(key));
    return code;
}

/* The peer's section and its secret; nothing is written unless all of it is good. */
static int write_peer(struct join *j)
{
    int code = add_peer(j);
    code = code == EX_OK ? inifile_check(&j->ini) : code;
    code = code == EX_OK ? write_psk(j) : code;
    return code == EX_OK ? inifile_save(&j->ini) : code;
}

/* For people, and so not on standard output, which has the answer alone. */
static void say_next(const struct join *j)
{
    (void)fprintf(stderr, "[peer %s] is in %s now; `adit run` reads it when it starts.\n", j->name,
                  j->ini.path);
    if (!cli_value(j->call, "allow")) {
        (void)fprintf(stderr, "%s may reach nothing here until its `allow` says so.\n", j->name);
    }
}

/* --- the invited side ------------------------------------------------------------------------ */

static void print_answer(const struct join *j)
{
    struct invite answer;
    char text[INVITE_TEXT_MAX];
    char key[INVITE_KEY_TEXT];
    char host[CONFIG_NAME_MAX + 1];
    const char *own = j->ini.config->node.name;
    invite_answer(&answer, &j->given, &j->ini.self, own[0] ? own : inifile_default_name(host));
    if (j->relay[0] != '\0') {
        (void)fprintf(stderr, "Unless the relay is open, its ini must have: allow = %s\n",
                      invite_format_key(j->ini.self.bytes, key));
    }
    (void)fprintf(stderr, "\nThe last step, on %s (no secret is in this line):\n\n", j->given.name);
    (void)fflush(stderr);
    (void)printf("adit join '%s'\n", invite_format(&answer, text));
}

static int take_offer(struct join *j)
{
    if (j->given.has_relay) {
        inifile_use_relay(&j->ini, &j->given.relay, j->given.pins, j->given.pins_count, j->relay);
    }
    for (size_t i = 0; i < j->given.stun_count; i++) {
        inifile_use_stun(&j->ini, &j->given.stun[i].at, j->given.stun[i].derper);
    }
    invite_psk(j->psk, j->given.secret, &j->given.key, &j->ini.self);
    int code = write_peer(j);
    if (code == EX_OK) {
        say_next(j);
        print_answer(j);
    }
    return code;
}

/* --- the inviting side ----------------------------------------------------------------------- */

static int take_pending(struct join *j, struct pending *pending)
{
    const struct pending_item *item = pending_find(pending, &j->given, &j->ini.self);
    if (!item) {
        cli_error("no invitation of this node waits for this answer: it is too old, was answered "
                  "already, or the line was changed");
        return EX_NOPERM;
    }
    if (inifile_find_relay(&j->ini, item->relay)) {
        (void)snprintf(j->relay, sizeof(j->relay), "%s", item->relay);
    }
    invite_psk(j->psk, item->token, &j->ini.self, &j->given.key);
    int code = write_peer(j);
    if (code == EX_OK) {
        pending_remove(pending, item);
        code = pendingfile_write(j->ini.config, pending);
    }
    return code;
}

static int take_answer(struct join *j)
{
    struct pending pending;
    int code = pendingfile_read(j->ini.config, &pending);
    code = code == EX_OK ? take_pending(j, &pending) : code;
    pending_wipe(&pending);
    if (code == EX_OK) {
        say_next(j);
    }
    return code;
}

/* For the lock, which comes before anything else is looked at. */
static int make_folder(const struct join *j, const char *path)
{
    char folder[PATHS_MAX];
    int err = j->given.kind == INVITE_OFFER ? file_make_dirs(paths_folder(path, folder), 0700) : 0;
    if (err != 0) {
        cli_error("%s: %s", folder, strerror(-err));
    }
    return err == 0 ? EX_OK : EX_CANTCREAT;
}

/* Whoever is invited may have nothing yet. An answer is for a node that there is. */
static int open_ini(struct join *j, const char *path)
{
    char key[ADIT_KEY_TEXT_MAX];
    char name[CONFIG_NAME_MAX + 1];
    int code = EX_OK;
    if (j->given.kind == INVITE_OFFER && !keyfile_exists(path)) {
        code = inifile_create(path, inifile_default_name(name), key);
        if (code == EX_OK) {
            (void)fprintf(stderr, "%s is new, and calls this machine %s.\n", path, name);
        }
    }
    return code == EX_OK ? inifile_open(&j->ini, path) : code;
}

static int run(const struct cli_call *call)
{
    struct join j = {.call = call};
    const char *ini = cli_config(call);
    int code = ini ? read_given(call, &j.given) : EX_CONFIG;
    code = code == EX_OK ? choose_name(&j) : code;
    code = code == EX_OK ? make_folder(&j, ini) : code;
    int lock = code == EX_OK ? inifile_lock(ini) : -1;
    code = code == EX_OK ? open_ini(&j, ini) : code;
    bool again = code == EX_OK && is_repeated(&j);
    code = code == EX_OK && !again ? check_peer(&j) : code;
    if (again) {
        (void)fprintf(stderr, "This invitation was taken already; its answer once more.\n");
        print_answer(&j);
    } else if (code == EX_OK) {
        code = j.given.kind == INVITE_OFFER ? take_offer(&j) : take_answer(&j);
    }
    inifile_close(&j.ini);
    inifile_unlock(lock);
    adit_key_wipe(&j, sizeof(j));
    return code;
}

const struct cli_command cmd_join = {
    .name = "join",
    .arguments = "URL",
    .line = "get to know the machine that an `adit invite` line names",
    .more = "URL is the line that `adit invite` printed there, in quotes, or - to read it from\n"
            "standard input. It adds a [peer] section, and the [relay] if it is new, to the ini\n"
            "(and makes one, if there is none), and prints the line to run on the inviting\n"
            "machine, which then knows this one, too. Run again, it prints that line again.",
    .arguments_min = 1,
    .arguments_max = 1,
    .run = run,
    .options =
        {
            {'n', "name", "NAME", "what the other machine is called here (what it calls itself)"},
            {'a', "allow", "LIST", "what it may reach through this one, such as localhost:8080"},
            {'c', "config", "FILE", "the ini instead of ~/.config/adit/adit.ini"},
        },
};
