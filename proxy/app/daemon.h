/* Programs that run until they are told to stop: the node and the relay.
 *
 * SIGINT and SIGTERM stop gracefully: listeners close, applications get their reset, peers are
 * told. A second one ends the process at once. SIGHUP reads the configuration again where
 * daemon_on_hangup said what that means; elsewhere it is the terminal's end, and stops, too, unless
 * it was to be ignored from the start (nohup). Results are exit codes (sysexits.h).
 */
#ifndef APP_DAEMON_H
#define APP_DAEMON_H

#include <stdbool.h>
#include <uv.h>

struct daemon {
    uv_loop_t loop;
    uv_signal_t interrupt, terminate, hangup;
    bool stopping;
    void (*stop)(void *user);   /* called once, from the loop */
    void (*reload)(void *user); /* NULL: SIGHUP stops */
    void *user;
};

/* Sets up the process (SIGPIPE, number of descriptors) and the loop. 0 or EX_OSERR. */
int daemon_init(struct daemon *d, void (*stop)(void *user), void *user);
/* Calls reload(user) from the loop at each SIGHUP, until it is told to stop; then a SIGHUP does
 * nothing any more. */
void daemon_on_hangup(struct daemon *d, void (*reload)(void *user));
/* Runs until all handles are closed. */
void daemon_loop(struct daemon *d);
/* What a signal does. */
void daemon_stop(struct daemon *d);
/* After the loop has ended. */
void daemon_deinit(struct daemon *d);

/* A negative error of a start as exit code. */
int daemon_exit_code(int err);

/* `adit run`, `adit relay`. */
int daemon_run_node(const char *ini);
int daemon_run_relay(const char *ini);

#endif
