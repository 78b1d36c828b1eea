/* Building JSON with cJSON, whose adders return NULL when out of memory; the last one decides
 * nothing, so each failure is noted in the builder, and the tree is thrown away once if there was
 * any. Adding to a NULL is fine.
 */
#ifndef CONTROL_PUT_H
#define CONTROL_PUT_H

#include <cjson/cJSON.h>

#include <stdbool.h>
#include <stdint.h>

struct builder {
    bool failed;
};

/* NULL becomes null. */
void put_text(struct builder *b, cJSON *to, const char *name, const char *text);
/* CONTROL_UNKNOWN becomes null. Exact up to 2^53: 8 PiB as a count of bytes. */
void put_number(struct builder *b, cJSON *to, const char *name, uint64_t v);
void put_bool(struct builder *b, cJSON *to, const char *name, bool v);
cJSON *put_object(struct builder *b, cJSON *to, const char *name);
cJSON *put_array(struct builder *b, cJSON *to, const char *name);
/* An object at the end of the array. */
cJSON *put_item(struct builder *b, cJSON *array);
void put_text_item(struct builder *b, cJSON *array, const char *text);
/* The whole as text, for control_free; the tree is gone. NULL: out of memory. */
char *put_end(struct builder *b, cJSON *root);

#endif
