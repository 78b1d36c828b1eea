/* `adit run`: configuration, keys, node, control socket, listeners, in this order. */
#include "app/daemon.h"

#include "app/app.h"
#include "app/load.h"
#include "app/logsink.h"

struct node_daemon {
    struct daemon daemon;
    struct loaded loaded;
    struct logsink sink;
    struct app *app; /* NULL if it could not start */
};

static void stop_node(void *user)
{
    struct node_daemon *n = user;
    LOG_AT(&n->sink.log, LOG_INFO, "app", "stopping", "name=%s", n->loaded.config->node.name);
    if (n->app) {
        app_stop(n->app, NULL, NULL);
    }
}

/* What needs a folder that nobody names is left out. */
static void say_what_is_missing(const struct config *config, const struct log *log)
{
    if (!config->node.state) {
        LOG_AT(log, LOG_WARN, "app", "no_state",
               "why=\"neither [node] state nor $HOME says where to keep it\"");
    }
    if (!config->node.control) {
        LOG_AT(log, LOG_WARN, "app", "no_control",
               "why=\"neither [node] control nor $HOME says where; `adit status` finds nobody\"");
    }
}

static int run(struct node_daemon *n)
{
    const struct config *config = n->loaded.config;
    int code = daemon_init(&n->daemon, stop_node, n);
    if (code != 0) {
        return code;
    }
    logsink_init(&n->sink, config->node.log, NULL);
    LOG_AT(&n->sink.log, LOG_INFO, "app", "starting", "version=%s name=%s peers=%zu", ADIT_VERSION,
           config->node.name, config->peers_count);
    say_what_is_missing(config, &n->sink.log);
    int err = app_start(&n->daemon.loop, config, &n->loaded.secrets, &n->sink.log, &n->app);
    if (err != 0) {
        daemon_stop(&n->daemon);
    }
    daemon_loop(&n->daemon);
    daemon_deinit(&n->daemon);
    return daemon_exit_code(err);
}

int daemon_run_node(const char *ini)
{
    struct node_daemon n = {0};
    int code = load_node(ini, stderr, &n.loaded);
    if (code == 0) {
        code = run(&n);
    }
    load_free(&n.loaded);
    return code;
}
