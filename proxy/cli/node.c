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

int node_find_socket(const struct cli_call *call, char out[PATHS_MAX])
{
    struct paths paths;
    const char *given = cli_value(call, "socket");
    paths_find(&paths);
    if (!given && (cli_value(call, "config") || access(paths.config, F_OK) == 0)) {
        struct config *config = NULL;
        int code = load_config(cli_config(call), stderr, &config);
        if (code == EX_OK && config->node.control) {
            (void)snprintf(out, PATHS_MAX, "%s", config->node.control);
        }
        config_free(config);
        return code;
    }
    (void)snprintf(out, PATHS_MAX, "%s", given ? given : paths.control);
    return EX_OK;
}

int node_complain(const char *socket, int err)
{
    if (err == ERR_PROTOCOL) {
        cli_error("what answers at %s is not a node of Adit", socket);
        return EX_PROTOCOL;
    }
    cli_error("no node is running at %s (%s); `adit run` starts it", socket, uv_strerror(err));
    return err == UV_EACCES ? EX_NOPERM : EX_UNAVAILABLE;
}

int node_check_name(const struct cli_command *command, const char *name)
{
    if (name[0] == '\0' || strlen(name) > CONFIG_NAME_MAX || strpbrk(name, " \t\r\n/?#%")) {
        return cli_usage_error(command, "\"%.63s\" is no name of a peer", name);
    }
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

int node_wait_for_end(int fd)
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
