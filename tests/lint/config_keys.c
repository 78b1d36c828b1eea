/* Prints "SECTION KEY" for each key that the ini knows, for tests/lint/docs. */
#include "policy/config.h"

#include <stdio.h>

int main(void)
{
    for (const struct config_key *key = config_keys_table; key->name; key++) {
        (void)printf("%s %s\n", key->section, key->name);
    }
    return 0;
}
