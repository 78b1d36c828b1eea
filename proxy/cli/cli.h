/* The commands of `adit`: one table, from which the help is printed. */
#ifndef PROXY_CLI_H
#define PROXY_CLI_H

/* Runs the command that argv names; the result is the exit code (sysexits.h). */
int cli_main(int argc, char **argv);

#endif
