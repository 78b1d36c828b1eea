/* Shared by front.c (states, time, answers) and front_read.c (what the client says) only. */
#ifndef SESSION_FRONT_INTERNAL_H
#define SESSION_FRONT_INTERNAL_H

#include "session/front.h"

void front_set_state(struct front *f, enum front_state state, uint64_t deadline);
void front_post(struct front *f, enum front_event_type type);
void front_begin_connecting(struct front *f, uint64_t now);
void front_begin_closing(struct front *f, uint64_t now);
/* The client was wrong: CLOSING. */
void front_blame(struct front *f, enum front_fault what, const char *why, uint64_t now);
/* HTTP: what front_output gives from now on. Without memory (NULL) there is no answer, only the
 * end. The page is owned from here on. */
void front_take_page(struct front *f, char *page, size_t len);
void front_show_error(struct front *f, unsigned status, const char *about, const char *sentence);

#endif
