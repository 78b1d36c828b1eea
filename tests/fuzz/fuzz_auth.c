/* The file of users that somebody has written: any text is a list or an error in one of its lines.
 * Every line that was taken opens the door, and with another password does not. */
#include "policy/auth.h"

#include <base/check.h>
#include <base/err.h>

#include <sodium.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { TRIED_MAX = 32 };

static size_t count_lines(const char *text, size_t len)
{
    size_t count = 1;
    for (size_t i = 0; i < len; i++) {
        count += text[i] == '\n';
    }
    return count;
}

/* NAME:PASSWORD, both of some length. */
static void try_line(const struct auth *a, const char *line, size_t len)
{
    char wrong[AUTH_PART_MAX];
    const char *colon = memchr(line, ':', len);
    CHECK(colon && colon > line);
    size_t name = (size_t)(colon - line);
    size_t password = len - name - 1;
    CHECK(password > 0 && password <= AUTH_PART_MAX);
    CHECK(auth_check(a, line, name, colon + 1, password));
    memcpy(wrong, colon + 1, password);
    wrong[password / 2] = '\0'; /* which no password has */
    CHECK(!auth_check(a, line, name, wrong, password));
}

/* Lines as this file understands them, which is not how auth.c goes through them. */
static size_t try_lines(const struct auth *a, const char *text, size_t len)
{
    size_t users = 0, from = 0;
    for (size_t i = 0; i <= len; i++) {
        if (i < len && text[i] != '\n') {
            continue;
        }
        size_t to = i > from && text[i - 1] == '\r' ? i - 1 : i;
        if (to > from && text[from] != '#') {
            if (users < TRIED_MAX) {
                try_line(a, text + from, to - from);
            }
            users++;
        }
        from = i + 1;
    }
    return users;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const uint8_t key[AUTH_KEY_LEN] = {1};
    struct auth a;
    struct auth_error error;
    const char *text = (const char *)data;
    CHECK(sodium_init() >= 0);
    int err = auth_init(&a, text, len, key, &error);
    CHECK(a.count <= AUTH_USERS_MAX && !auth_check(&a, "", 0, "", 0));
    if (err == 0) {
        CHECK(a.count > 0 && !error.why && try_lines(&a, text, len) == a.count);
    } else {
        CHECK(err == ERR_MALFORMED && error.why && error.line <= count_lines(text, len));
        CHECK(error.line > 0 || a.count == 0);
    }
    auth_deinit(&a);
    return 0;
}
