/* Lines for people, made of a node's JSON: fields that are missing or of another type, as a node of
 * another version may send them, read as something harmless. */
#ifndef CONTROL_LINES_H
#define CONTROL_LINES_H

#include <cjson/cJSON.h>

#include <stdbool.h>
#include <stddef.h>

/* Text that is appended to while there is room; what does not fit is cut. */
struct lines {
    char *at;
    size_t left;
};

void lines_add(struct lines *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "1.2 MB" */
void lines_add_bytes(struct lines *l, double bytes);
/* "18.3 ms"; `before` comes first. Nothing if us < 0. */
void lines_add_ms(struct lines *l, const char *before, double us);

const char *lines_text_of(const cJSON *object, const char *name, const char *otherwise);
double lines_number_of(const cJSON *object, const char *name, double otherwise);
bool lines_is_true(const cJSON *object, const char *name);

#endif
