#include "app/daemon.h"

#include <base/check.h>

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sysexits.h>

static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* fewer connections then */
    }
}

void daemon_stop(struct daemon *d)
{
    if (d->stopping) {
        return;
    }
    d->stopping = true;
    /* From now on a signal does what it does by default. */
    uv_close((uv_handle_t *)&d->interrupt, NULL);
    uv_close((uv_handle_t *)&d->terminate, NULL);
    uv_close((uv_handle_t *)&d->hangup, NULL);
    if (d->reload) {
        (void)signal(SIGHUP, SIG_IGN); /* after libuv has put the default back */
    }
    d->stop(d->user);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    daemon_stop(handle->data);
}

static void on_hangup(uv_signal_t *handle, int number)
{
    struct daemon *d = handle->data;
    (void)number;
    d->reload(d->user);
}

void daemon_on_hangup(struct daemon *d, void (*reload)(void *user))
{
    d->reload = reload;
    (void)uv_signal_start(&d->hangup, on_hangup, SIGHUP);
}

/* As nohup has it. */
static bool outlives_its_terminal(void)
{
    struct sigaction now;
    return sigaction(SIGHUP, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

int daemon_init(struct daemon *d, void (*stop)(void *user), void *user)
{
    *d = (struct daemon){.stop = stop, .user = user};
    (void)signal(SIGPIPE, SIG_IGN);
    raise_descriptors();
    int status = uv_loop_init(&d->loop);
    if (status != 0) {
        (void)fprintf(stderr, "adit: no event loop: %s\n", uv_strerror(status));
        return EX_OSERR;
    }
    (void)uv_signal_init(&d->loop, &d->interrupt);
    (void)uv_signal_init(&d->loop, &d->terminate);
    (void)uv_signal_init(&d->loop, &d->hangup);
    d->interrupt.data = d;
    d->terminate.data = d;
    d->hangup.data = d;
    (void)uv_signal_start(&d->interrupt, on_signal, SIGINT);
    (void)uv_signal_start(&d->terminate, on_signal, SIGTERM);
    if (!outlives_its_terminal()) {
        (void)uv_signal_start(&d->hangup, on_signal, SIGHUP);
    }
    return 0;
}

void daemon_loop(struct daemon *d)
{
    (void)uv_run(&d->loop, UV_RUN_DEFAULT);
}

void daemon_deinit(struct daemon *d)
{
    CHECK(uv_loop_close(&d->loop) == 0);
}

int daemon_exit_code(int err)
{
    switch (err) {
    case 0:
        return EX_OK;
    case UV_EADDRINUSE:
    case UV_EADDRNOTAVAIL:
        return EX_UNAVAILABLE;
    case UV_EACCES:
    case UV_EPERM:
        return EX_NOPERM;
    default:
        return EX_OSERR;
    }
}
