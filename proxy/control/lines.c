#include "control/lines.h"

#include <stdarg.h>
#include <stdio.h>

void lines_add(struct lines *l, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(l->at, l->left, format, args);
    va_end(args);
    if (n > 0) {
        size_t step = (size_t)n < l->left ? (size_t)n : l->left - 1;
        l->at += step;
        l->left -= step;
    }
}

void lines_add_bytes(struct lines *l, double bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    size_t unit = 0;
    while (bytes >= 999.5 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        bytes /= 1000;
        unit++;
    }
    lines_add(l, bytes < 9.95 && unit > 0 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
}

void lines_add_ms(struct lines *l, const char *before, double us)
{
    if (us >= 0) {
        lines_add(l,
                  us < 995    ? "%s%.2f ms"
                  : us < 9950 ? "%s%.1f ms"
                              : "%s%.0f ms",
                  before, us / 1000);
    }
}

const char *lines_text_of(const cJSON *object, const char *name, const char *otherwise)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsString(item) ? item->valuestring : otherwise;
}

double lines_number_of(const cJSON *object, const char *name, double otherwise)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(item) ? item->valuedouble : otherwise;
}

bool lines_is_true(const cJSON *object, const char *name)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, name));
}
