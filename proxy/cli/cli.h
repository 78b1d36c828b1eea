/* The commands of `adit`: one table, from which the help is printed.
 *
 * A command is a struct in its own cmd_<name>.c; options are parsed here for all of them. Output
 * for people and scripts goes to stdout, errors go to stderr and begin with "adit: ".
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>

enum { CLI_OPTIONS_MAX = 8 };

struct cli_option {
    char letter;       /* 'c', or 0 if it has only a name */
    const char *name;  /* "config" */
    const char *value; /* what it takes, for the help ("FILE"); NULL: nothing */
    const char *help;
};

struct cli_call;

struct cli_command {
    const char *name;
    const char *arguments; /* "new FILE"; "" if there are none */
    const char *line;      /* what it does, one line */
    const char *more;      /* further sentences for its help, or NULL */
    int arguments_min, arguments_max;
    int (*run)(const struct cli_call *call); /* exit code (sysexits.h) */
    struct cli_option options[CLI_OPTIONS_MAX];
};

struct cli_call {
    const struct cli_command *command;
    const char *values[CLI_OPTIONS_MAX]; /* "" for a given option without value; NULL: not given */
    char **arguments;
    int count;
};

/* Runs the command that argv names; the result is the exit code. */
int cli_main(int argc, char **argv);

/* NULL if the option was not given. */
const char *cli_value(const struct cli_call *call, const char *option);
/* -c, or the default place. NULL, with a message, if there is none. */
const char *cli_config(const struct cli_call *call);
/* Writes "adit: ..." to stderr. */
void cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* An error that is the caller's, with a hint at the help; returns EX_USAGE. */
int cli_usage_error(const struct cli_command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* An argument as a message may show it: "..." for what may be an invitation or a URL with a
 * password, since what a program prints is kept in logs. */
const char *cli_shown(const char *text);

extern const struct cli_command cmd_init, cmd_invite, cmd_join, cmd_key, cmd_run, cmd_relay,
    cmd_check, cmd_status, cmd_netcheck, cmd_ping, cmd_why, cmd_bench, cmd_demo, cmd_connect,
    cmd_forward, cmd_serve, cmd_env;

#endif
