/* One who asks at the control socket, shared by control_server.c (the socket, what is read and
 * sent) and control_questions.c (what is asked).
 */
#ifndef APP_CONTROL_INTERNAL_H
#define APP_CONTROL_INTERNAL_H

#include "app/app.h"
#include "app/exit.h"
#include "app/listener.h"
#include "app/refusal.h"
#include "app/tcp.h"
#include "control/http.h"

enum {
    CONTROL_ASK_MS = 5000, /* for a question, and for taking the answer */
    CONTROL_LATER = 0,     /* no status yet */
    CONTROL_TEXT_MAX = 160,
};

struct asker;

struct control_server {
    struct app *app;
    struct context *ctx;
    struct clients *clients;
    uv_pipe_t pipe;
    struct refusal *refusal;
    size_t count;
    LIST_HEAD(, asker) askers;
};

struct asker {
    LIST_ENTRY(asker) entry;
    struct control_server *server;
    struct tcp *tcp;
    uv_timer_t timer;
    size_t in_len;
    char in[CONTROL_HEAD_MAX];
    char head[CONTROL_ANSWER_HEAD_MAX];
    char *body; /* of control_status; NULL if there is none */
    char text[CONTROL_TEXT_MAX];
    struct app_ping *ping; /* NULL, or what is waited for */
    struct app_bench *bench;
    char peer[CONFIG_NAME_MAX + 1];
    /* NULL, or what there is as long as the asker is. */
    struct listener *forward;
    struct exit_service *service;
    struct {
        const char *at;
        size_t len;
    } rest[2]; /* head and body, as far as they are not sent */
    bool answering, finished;
};

/* --- control_server.c --- */

/* Sends a->body, or else a->text; `a` may be gone afterwards. */
void control_answer(struct asker *a, unsigned status);
/* When it fires the asker goes, or what it waits for is given up. */
void control_set_timer(struct asker *a, uint64_t ms);

/* --- control_questions.c --- */

/* The status, with body or text in the asker; CONTROL_LATER: control_answer follows. */
unsigned control_handle(struct asker *a, struct control_request *r);
/* No pong in time; `a` may be gone afterwards. */
void control_ping_late(struct asker *a);

#endif
