#include <base/mem.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MEM_ALIGN = 64 };

/* 0 = never fail; else the number of allocations until the first one that fails. */
static size_t fail_after;

static int must_fail(void)
{
    if (fail_after == 0) {
        return 0;
    }
    if (fail_after == 1) {
        return 1;
    }
    fail_after--;
    return 0;
}

void *mem_new(size_t count, size_t size)
{
    if (must_fail() || (size > 0 && count > SIZE_MAX / 2 / size)) {
        return NULL;
    }
    size_t total = count * size;
    if (total < MEM_ALIGN) {
        return calloc(1, total > 0 ? total : 1);
    }
    void *p = aligned_alloc(MEM_ALIGN, (total + MEM_ALIGN - 1) / MEM_ALIGN * MEM_ALIGN);
    if (p) {
        memset(p, 0, total);
    }
    return p;
}

void *mem_resize(void *p, size_t size)
{
    return must_fail() ? NULL : realloc(p, size > 0 ? size : 1);
}

void mem_free(void *p)
{
    free(p);
}

char *mem_text(const char *text)
{
    size_t len = strlen(text) + 1;
    char *copy = mem_new(1, len);
    if (copy) {
        memcpy(copy, text, len);
    }
    return copy;
}

void mem_fail_after(size_t n)
{
    fail_after = n;
}
