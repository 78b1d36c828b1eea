#include "cli/node.h"

#include "app/control_client.h"
#include "app/load.h"

#include <base/err.h>
#include <base/mem.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static int read_socket(const char *ini, char out[PATHS_MAX])
{
    struct config *config = NULL;
    int code = load_config(ini, stderr, &config);
    if (code == EX_OK) {
        (void)snprintf(out, PATHS_MAX, "%s", config->node.control ? config->node.control : "");
    }
    config_free(config);
    return code;
}

int node_find_socket(const struct cli_call *call, char out[PATHS_MAX])
{
    struct paths paths;
    int code = EX_OK;
    const char *given = cli_value(call, "socket");
    paths_find(&paths);
    (void)snprintf(out, PATHS_MAX, "%s", given ? given : paths.control);
    if (!given && (cli_value(call, "config") || access(paths.config, F_OK) == 0)) {
        code = read_socket(cli_config(call), out);
    }
    if (code == EX_OK && out[0] == '\0') {
        cli_error("neither --socket nor [node] control nor $HOME says where the node answers");
        code = EX_CONFIG;
    }
    return code;
}

int node_complain(const char *socket, int err)
{
    if (err == ERR_PROTOCOL) {
        cli_error("what answers at %s is not a node of Adit", socket);
        return EX_PROTOCOL;
    }
    if (err == UV_EACCES || err == UV_EPERM) {
        cli_error("%s: %s; a node answers its own user alone", socket, uv_strerror(err));
        return EX_NOPERM;
    }
    cli_error("no node is running at %s (%s); `adit run` starts it", socket, uv_strerror(err));
    return EX_UNAVAILABLE;
}

int node_take_name(const struct cli_command *command, const char *text,
                   char out[CONFIG_NAME_MAX + 1])
{
    static const char domain[] = ".peer";
    size_t len = strlen(text);
    size_t end = sizeof(domain) - 1;
    if (len >= end && strcmp(text + len - end, domain) == 0) {
        len -= end;
    }
    if (len == 0 || len > CONFIG_NAME_MAX || strpbrk(text, " \t\r\n/?#%")) {
        return cli_usage_error(command, "\"%.63s\" is no name of a peer", cli_shown(text));
    }
    (void)snprintf(out, CONFIG_NAME_MAX + 1, "%.*s", (int)len, text);
    return EX_OK;
}

static int complain_about_status(unsigned status, const char *body)
{
    if (status == 504) {
        return EX_TEMPFAIL;
    }
    if (status == 404 && body[0] == '\0') {
        cli_error("the running node is of a version that does not know this question");
        return EX_PROTOCOL;
    }
    cli_error("%.160s", body[0] != '\0' ? body : "the node could not answer");
    return status == 404   ? EX_NOHOST
           : status == 400 ? EX_USAGE
           : status == 502 ? EX_UNAVAILABLE
                           : EX_SOFTWARE;
}

int node_ask(const char *socket, const char *path, char **body, size_t *len)
{
    unsigned status = 0;
    int err = control_client_ask(socket, path, &status, body, len);
    if (err != 0) {
        return node_complain(socket, err);
    }
    if (status == 200) {
        return EX_OK;
    }
    int code = complain_about_status(status, *body);
    mem_free(*body);
    *body = NULL;
    return code;
}

bool node_join_target(struct target *t, const char *host, const char *port)
{
    char text[TARGET_TEXT_MAX + 2];
    bool bare = strchr(host, ':') && host[0] != '['; /* IPv6 without its brackets */
    int n = snprintf(text, sizeof(text), bare ? "[%s]:%s" : "%s:%s", host, port);
    return n > 0 && (size_t)n < sizeof(text) && target_parse(t, text, (size_t)n) == 0;
}

/* The sentence of a page of the front ("502 Bad Gateway", empty line, sentence), or all of it. */
static void complain_about_reply(const struct control_reply *reply)
{
    const char *gap = strstr(reply->text, "\n\n");
    const char *from = gap ? gap + 2 : reply->text;
    cli_error("%.*s", (int)strcspn(from, "\n"), from);
}

int node_hold(const struct cli_call *call, const char *line, char *text, size_t cap, int *code)
{
    char socket[PATHS_MAX] = "";
    struct control_reply reply;
    *code = node_find_socket(call, socket);
    if (*code != EX_OK) {
        return -1;
    }
    int fd = control_client_hold(socket, line, &reply);
    if (fd < 0 && reply.status != 0) {
        complain_about_reply(&reply);
        *code = reply.status == 403 ? EX_NOPERM : reply.status == 400 ? EX_USAGE : EX_UNAVAILABLE;
        return -1;
    }
    if (fd < 0) {
        *code = node_complain(socket, fd);
        return -1;
    }
    (void)snprintf(text, cap, "%s", reply.text);
    return fd;
}

bool node_spell_out(const char *place, char *out, size_t cap)
{
    char folder[PATHS_MAX];
    int n;
    if (place[0] != '\0' && strspn(place, "0123456789") == strlen(place)) {
        n = snprintf(out, cap, "127.0.0.1:%s", place);
    } else if (strchr(place, '/') && place[0] != '/') {
        n = getcwd(folder, sizeof(folder)) ? snprintf(out, cap, "%s/%s", folder, place) : -1;
    } else {
        n = snprintf(out, cap, "%s", place);
    }
    return n > 0 && (size_t)n < cap && !strpbrk(out, " ?#");
}

/* Until the node hangs up. */
static int wait_for_end(int fd)
{
    char byte;
    ssize_t n;
    do {
        n = read(fd, &byte, 1);
    } while (n > 0 || (n < 0 && errno == EINTR));
    (void)close(fd);
    cli_error("the node has stopped");
    return EX_UNAVAILABLE;
}

int node_lead(const struct cli_call *call, const char *line, const char *target)
{
    char text[160];
    int code = EX_OK;
    int fd = node_hold(call, line, text, sizeof(text), &code);
    if (fd < 0) {
        return code;
    }
    (void)printf("%s leads to %s, as long as this command runs\n", text, target);
    (void)fflush(stdout);
    return wait_for_end(fd);
}
