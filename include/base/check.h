/* CHECK: our own bugs stop the process, in production too.
 *
 * What a peer, an application or the network does is never a CHECK. DCHECK is for checks too
 * costly for a release build; NEVER marks a place that cannot be reached.
 */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

/* Prints the place and aborts. Defined in tunnel/os/fatal.c. */
_Noreturn void check_failed(const char *file, int line, const char *what);

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            check_failed(__FILE__, __LINE__, #cond);                                               \
        }                                                                                          \
    } while (0)

#ifdef NDEBUG
#define DCHECK(cond) ((void)0)
#else
#define DCHECK(cond) CHECK(cond)
#endif

#define NEVER() check_failed(__FILE__, __LINE__, "unreachable")

#endif
