#include "cli/cli.h"

#include <stdio.h>
#include <sysexits.h>

int cli_main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    (void)fprintf(stderr, "usage: adit COMMAND\n");
    return EX_USAGE;
}
