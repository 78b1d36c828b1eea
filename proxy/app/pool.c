#include "app/pool.h"

#include <base/check.h>
#include <base/mem.h>

void pool_init(struct pool *pool, size_t blocks_max)
{
    pool->kept_count = 0;
    pool->used = 0;
    pool->used_max = blocks_max;
    pool->refused = 0;
    LIST_INIT(&pool->tcps);
    LIST_INIT(&pool->ended);
    pool->watch = NULL;
    pool->unused = NULL;
    pool->user = NULL;
}

void pool_deinit(struct pool *pool)
{
    CHECK(pool->used == 0 && LIST_EMPTY(&pool->tcps));
    while (pool->kept_count > 0) {
        mem_free(pool->kept[--pool->kept_count]);
    }
}

uint8_t *pool_take(struct pool *pool)
{
    uint8_t *block = NULL;
    if (pool->used < pool->used_max) {
        block = pool->kept_count > 0 ? pool->kept[--pool->kept_count] : mem_new(1, POOL_BLOCK);
    }
    if (block) {
        pool->used++;
    } else {
        pool->refused++;
    }
    return block;
}

void pool_give(struct pool *pool, uint8_t *block)
{
    if (!block) {
        return;
    }
    CHECK(pool->used > 0);
    pool->used--;
    if (pool->kept_count < POOL_KEEP) {
        pool->kept[pool->kept_count++] = block;
    } else {
        mem_free(block);
    }
}
