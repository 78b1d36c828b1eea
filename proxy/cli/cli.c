#include "cli/cli.h"

#include "app/paths.h"

#include <adit/key.h>

#include <ctype.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static const struct cli_command *const commands[] = {
    &cmd_init,  &cmd_invite, &cmd_join,     &cmd_run,   &cmd_status,  &cmd_ping,
    &cmd_why,   &cmd_bench,  &cmd_netcheck, &cmd_check, &cmd_connect, &cmd_forward,
    &cmd_serve, &cmd_env,    &cmd_key,      &cmd_relay, &cmd_demo,
};

enum {
    COMMANDS = sizeof(commands) / sizeof(commands[0]),
    GUESS_DISTANCE = 2,
    GUESS_NAME_MAX = 32,
    OPTION_SHOWN = 40,
};

void cli_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fputs("adit: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
}

const char *cli_shown(const char *text)
{
    return strchr(text, '@') || strstr(text, "://") ? "..." : text;
}

int cli_usage_error(const struct cli_command *command, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fprintf(stderr, "adit: %s: ", command->name);
    (void)vfprintf(stderr, format, args);
    (void)fprintf(stderr, "; see `adit help %s`\n", command->name);
    va_end(args);
    return EX_USAGE;
}

/* --- help ------------------------------------------------------------------------------------ */

static void print_help(void)
{
    (void)printf("adit %s: a SOCKS5 proxy to your own machines, through any NAT\n\n"
                 "usage: adit COMMAND [OPTION]...\n\n",
                 ADIT_VERSION);
    for (size_t i = 0; i < COMMANDS; i++) {
        (void)printf("  %-8s %s\n", commands[i]->name, commands[i]->line);
    }
    (void)printf(
        "\n`adit help COMMAND` says more about one. `adit --version` prints the version.\n");
}

static void print_command_help(const struct cli_command *c)
{
    (void)printf("usage: adit %s%s%s%s\n\n%c%s.\n", c->name, c->arguments[0] ? " " : "",
                 c->arguments, c->options[0].name ? " [OPTION]..." : "",
                 toupper((unsigned char)c->line[0]), c->line + 1);
    if (c->more) {
        (void)printf("\n%s\n", c->more);
    }
    (void)printf("\noptions:\n");
    for (const struct cli_option *o = c->options; o < c->options + CLI_OPTIONS_MAX && o->name;
         o++) {
        char left[64];
        char letter[] = {'-', o->letter, ',', ' ', '\0'};
        (void)snprintf(left, sizeof(left), "%s--%s%s%s", o->letter ? letter : "    ", o->name,
                       o->value ? " " : "", o->value ? o->value : "");
        (void)printf("  %-24s %s\n", left, o->help);
    }
    (void)printf("  %-24s %s\n", "-h, --help", "this text");
}

static const struct cli_command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i]->name, name) == 0) {
            return commands[i];
        }
    }
    return NULL;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Levenshtein's distance. */
static size_t distance(const char *a, const char *b)
{
    size_t row[GUESS_NAME_MAX + 1];
    size_t len = strlen(b);
    if (len > GUESS_NAME_MAX) {
        return len;
    }
    for (size_t j = 0; j <= len; j++) {
        row[j] = j;
    }
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t corner = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < len; j++) {
            size_t above = row[j + 1];
            size_t swap = corner + (a[i] != b[j]);
            row[j + 1] = least(swap, least(above, row[j]) + 1);
            corner = above;
        }
    }
    return row[len];
}

/* Without "=VALUE", which may be a secret. */
static int option_len(const char *text)
{
    size_t len = strcspn(text, "=");
    return len < OPTION_SHOWN ? (int)len : OPTION_SHOWN;
}

static int unknown_command(const char *name)
{
    if (name[0] == '-') {
        cli_error("there is no option %.*s; see `adit --help`", option_len(name), name);
        return EX_USAGE;
    }
    const struct cli_command *closest = commands[0];
    for (size_t i = 1; i < COMMANDS; i++) {
        if (distance(name, commands[i]->name) < distance(name, closest->name)) {
            closest = commands[i];
        }
    }
    if (distance(name, closest->name) <= GUESS_DISTANCE) {
        cli_error("there is no command \"%.40s\"; did you mean \"%s\"?", name, closest->name);
    } else {
        cli_error("there is no command \"%.40s\"; see `adit --help`", cli_shown(name));
    }
    return EX_USAGE;
}

static int help(int argc, char **argv)
{
    if (argc == 0) {
        print_help();
        return EX_OK;
    }
    const struct cli_command *c = find_command(argv[0]);
    if (!c) {
        return unknown_command(argv[0]);
    }
    print_command_help(c);
    return EX_OK;
}

/* --- options --------------------------------------------------------------------------------- */

struct parse {
    struct cli_call *call;
    int argc, at;
    char **argv;
    bool help;
};

/* `given` is a value that came with the option itself, or NULL. 0 or EX_USAGE. */
static int take_option(struct parse *p, size_t index, const char *given)
{
    const struct cli_option *o = &p->call->command->options[index];
    if (!o->value && given) {
        return cli_usage_error(p->call->command, "--%s takes no value", o->name);
    }
    if (o->value && !given) {
        if (p->at + 1 >= p->argc) {
            return cli_usage_error(p->call->command, "--%s needs %s", o->name, o->value);
        }
        given = p->argv[++p->at];
    }
    p->call->values[index] = given ? given : "";
    return EX_OK;
}

/* "--name", "--name=VALUE", "-l", "-lVALUE" */
static bool matches(const struct cli_option *o, const char *text, const char **given)
{
    *given = NULL;
    if (text[1] != '-') {
        *given = text[2] ? text + 2 : NULL;
        return o->letter && text[1] == o->letter;
    }
    size_t len = strlen(o->name);
    if (strncmp(text + 2, o->name, len) != 0) {
        return false;
    }
    *given = text[2 + len] == '=' ? text + 3 + len : NULL;
    return text[2 + len] == '\0' || *given;
}

static int unknown_option(const struct cli_command *c, const char *text)
{
    char name[GUESS_NAME_MAX + 1];
    const char *closest = "help";
    (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(text + 2, "="), text + 2);
    for (size_t i = 0; i < CLI_OPTIONS_MAX && c->options[i].name; i++) {
        if (distance(name, c->options[i].name) < distance(name, closest)) {
            closest = c->options[i].name;
        }
    }
    if (text[1] == '-' && distance(name, closest) <= GUESS_DISTANCE) {
        return cli_usage_error(c, "there is no option %.*s, did you mean --%s?", option_len(text),
                               text, closest);
    }
    return cli_usage_error(c, "there is no option %.*s", option_len(text), text);
}

static int parse_option(struct parse *p)
{
    const char *text = p->argv[p->at];
    const struct cli_command *c = p->call->command;
    for (size_t i = 0; i < CLI_OPTIONS_MAX && c->options[i].name; i++) {
        const char *given;
        if (matches(&c->options[i], text, &given)) {
            return take_option(p, i, given);
        }
    }
    if (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0) {
        p->help = true;
        return EX_OK;
    }
    return unknown_option(c, text);
}

static int parse(struct parse *p)
{
    struct cli_call *call = p->call;
    call->arguments = p->argv; /* gathered in place, at the front */
    bool options = true;
    for (; p->at < p->argc; p->at++) {
        char *text = p->argv[p->at];
        if (options && strcmp(text, "--") == 0) {
            options = false;
        } else if (options && text[0] == '-' && text[1] != '\0') {
            int code = parse_option(p);
            if (code != EX_OK) {
                return code;
            }
        } else {
            call->arguments[call->count++] = text;
        }
    }
    const struct cli_command *c = call->command;
    if (!p->help && (call->count < c->arguments_min || call->count > c->arguments_max)) {
        return cli_usage_error(
            c, call->count > c->arguments_max ? "too many arguments" : "%s is missing",
            c->arguments);
    }
    return EX_OK;
}

const char *cli_value(const struct cli_call *call, const char *option)
{
    for (size_t i = 0; i < CLI_OPTIONS_MAX && call->command->options[i].name; i++) {
        if (strcmp(call->command->options[i].name, option) == 0) {
            return call->values[i];
        }
    }
    return NULL;
}

const char *cli_config(const struct cli_call *call)
{
    static struct paths paths; /* filled the same way each time */
    const char *given = cli_value(call, "config");
    if (given) {
        return given;
    }
    paths_find(&paths);
    if (paths.config[0] == '\0') {
        cli_error("neither -c nor $XDG_CONFIG_HOME nor $HOME says where adit.ini is");
        return NULL;
    }
    return paths.config;
}

static bool takes_config(const struct cli_command *c)
{
    for (size_t i = 0; i < CLI_OPTIONS_MAX && c->options[i].name; i++) {
        if (strcmp(c->options[i].name, "config") == 0) {
            return true;
        }
    }
    return false;
}

/* What to do about an ini that is not there. */
static void hint_at_ini(const struct cli_call *call, int code)
{
    const char *ini = code != EX_OK && takes_config(call->command) ? cli_config(call) : NULL;
    if (!ini || access(ini, F_OK) == 0 || call->command == &cmd_init || code == EX_USAGE) {
        return;
    }
    if (call->command == &cmd_relay) {
        cli_error("a relay needs an ini with a [server] section; see `adit help relay`");
    } else if (code == EX_NOINPUT || code == EX_CONFIG) {
        cli_error("`adit init` makes an ini and a key");
    }
}

/* A full disk must not look like success. */
static int check_stdout(int code)
{
    if (code == EX_OK && (fflush(stdout) != 0 || ferror(stdout))) {
        cli_error("standard output cannot be written to");
        return EX_IOERR;
    }
    return code;
}

static int run_command(const struct cli_call *call)
{
    if (adit_init() != 0) {
        cli_error("the system gives no randomness");
        return EX_OSERR;
    }
    int code = call->command->run(call);
    hint_at_ini(call, code);
    return check_stdout(code);
}

/* Or a socket of ours becomes what is read as input, or written to as the log. The end of input is
 * met at once, and output fails, as it should. */
static bool open_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) != fd) {
            return false;
        }
    }
    return true;
}

int cli_main(int argc, char **argv)
{
    if (!open_standard_descriptors()) {
        return EX_OSERR;
    }
    if (argc < 2) {
        cli_error("which command? See `adit --help`");
        return EX_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0 || strcmp(name, "version") == 0) {
        (void)printf("adit %s\n", ADIT_VERSION);
        return check_stdout(EX_OK);
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        return check_stdout(help(argc - 2, argv + 2));
    }
    const struct cli_command *command = find_command(name);
    if (!command) {
        return unknown_command(name);
    }
    struct cli_call call = {.command = command};
    struct parse p = {.call = &call, .argc = argc - 2, .argv = argv + 2};
    int code = parse(&p);
    if (code != EX_OK || p.help) {
        return p.help && code == EX_OK ? check_stdout(help(1, &argv[1])) : code;
    }
    return run_command(&call);
}
