/* The addresses at which applications connect. */
#ifndef APP_LISTENER_H
#define APP_LISTENER_H

#include "app/client.h"

#include <base/addr.h>

#include <stdbool.h>

struct listener;

/* Port 0 = any. 0 or a negative system error (with a log line). */
int listener_start(struct clients *clients, const struct addr *at, struct listener **out);
struct addr listener_address(const struct listener *l);
void listener_stop(struct listener *l);

#endif
