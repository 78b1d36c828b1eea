/* Who may use the front: user names and passwords, out of the file that `[front] users` names.
 *
 * One NAME:PASSWORD a line; the name has no ':', a line that begins with # is a comment. In memory
 * there are only keyed hashes of both together, under a key made at the start: so every check takes
 * the same time whether the name exists or not, and a dump of the process tells no password.
 */
#ifndef POLICY_AUTH_H
#define POLICY_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    AUTH_KEY_LEN = 32,
    AUTH_HASH_LEN = 32,
    AUTH_PART_MAX = 255, /* what SOCKS5 can carry, RFC 1929 */
    AUTH_USERS_MAX = 1024,
};

struct auth {
    uint8_t key[AUTH_KEY_LEN];
    uint8_t (*hashes)[AUTH_HASH_LEN];
    size_t count;
};

struct auth_error {
    unsigned line;   /* 0 = the file as a whole */
    const char *why; /* static; never the text of the line */
};

/* `key` is random. 0, ERR_MALFORMED with *error, or ERR_NO_MEMORY; to be ended with auth_deinit in
 * any case. A file without a user is malformed. */
int auth_init(struct auth *a, const char *text, size_t len, const uint8_t key[AUTH_KEY_LEN],
              struct auth_error *error);
void auth_deinit(struct auth *a);

bool auth_check(const struct auth *a, const char *user, size_t user_len, const char *password,
                size_t password_len);

#endif
