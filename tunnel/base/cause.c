#include <adit/cause.h>

#include <stddef.h>

static const struct row {
    uint64_t cause;
    const char *name;
    const char *text;
} table[] = {
#define CAUSE_ROW(upper, lower, number, text) {(number), #lower, text},
    CAUSE_TABLE(CAUSE_ROW)
#undef CAUSE_ROW
};

static const struct row *find(uint64_t cause)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].cause == cause) {
            return &table[i];
        }
    }
    return &table[CAUSE_FAILED];
}

const char *cause_name(uint64_t cause)
{
    return find(cause)->name;
}

const char *cause_text(uint64_t cause)
{
    return find(cause)->text;
}
