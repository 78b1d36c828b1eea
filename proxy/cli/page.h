/* The small web page of `adit demo` and its server: any GET gets it. */
#ifndef CLI_PAGE_H
#define CLI_PAGE_H

#include "app/pool.h"

#include <base/addr.h>

#include <stddef.h>
#include <uv.h>

struct page_server;

extern const char page_text[];

/* Listens on 127.0.0.1:`port`, or on any free port if that is taken. 0 or a negative system error.
 */
int page_server_start(uv_loop_t *loop, struct pool *pool, uint16_t port, struct page_server **out);
struct addr page_server_address(const struct page_server *s);
/* Its connections are closed by tcp_break_all of the pool. */
void page_server_stop(struct page_server *s);

#endif
