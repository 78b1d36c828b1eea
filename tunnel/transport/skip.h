/* Packet numbers that are left out, so that who acknowledges what never came to him is found out
 * (RFC 9000 section 21.4).
 *
 * Such a peer could have us send as fast as it likes to an address that it has left, or where it is
 * deaf: acknowledgements open the window, and prove the path. The first gap comes after some
 * hundred packets, later ones after twice as many each time, up to SKIP_EVERY_MAX; where exactly is
 * chance. One gap at a time can be fallen into, the last one.
 */
#ifndef TRANSPORT_SKIP_H
#define TRANSPORT_SKIP_H

#include <base/rng.h>

#include <stdbool.h>
#include <stdint.h>

enum { SKIP_EVERY_FIRST = 256, SKIP_EVERY_MAX = 65536 };

#define SKIP_NONE UINT64_MAX

struct skip {
    uint64_t last;  /* the number that was left out; SKIP_NONE */
    uint64_t due;   /* the next one to be; 0 = not drawn yet */
    uint64_t every; /* from now to then lie so many numbers, or up to twice as many */
};

void skip_init(struct skip *s);
/* `number` would come next: is it to be left out? Asked for each; the first few draw nothing. */
bool skip_is_due(struct skip *s, uint64_t number, struct rng rng);
/* It is left out. */
void skip_note(struct skip *s, uint64_t number, struct rng rng);
/* The numbers from first to last have that among them which was left out. */
bool skip_is_within(const struct skip *s, uint64_t first, uint64_t last);

#endif
