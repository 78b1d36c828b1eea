/* Between portmap.c (states, questions, time) and portmap_recv.c (answers); for nobody else. */
#ifndef PATH_PORTMAP_INTERNAL_H
#define PATH_PORTMAP_INTERNAL_H

#include "path/portmap.h"

/* Enters a state; its first action is due at `at`. */
void portmap_set_state(struct portmap *m, enum portmap_state state, uint64_t at);
void portmap_begin_pcp(struct portmap *m, uint64_t now);
void portmap_begin_natpmp(struct portmap *m, uint64_t now);
/* Rests for about so long, within its limits. */
void portmap_rest(struct portmap *m, uint64_t ns, uint64_t now);
/* The gateway has granted m->external for so long; rests if nobody could use that address. */
void portmap_granted(struct portmap *m, uint32_t lifetime_s, uint64_t now);
/* Asks again for what the gateway has probably forgotten. The mapping counts until the gateway
 * itself denies it or keeps silent, for an announcement is easily forged. */
void portmap_repair(struct portmap *m, uint64_t now);
/* The epoch has been looked at: not again for a while. */
void portmap_checked(struct portmap *m, uint64_t now);

#endif
