#include "path/recipe.h"

#include <base/err.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t home[RECIPE_NETWORK_LEN] = {1};
static const uint8_t cafe[RECIPE_NETWORK_LEN] = {2};
static const uint8_t peer[RECIPE_PEER_LEN] = {3};
static const uint8_t other[RECIPE_PEER_LEN] = {4};

static void note(struct recipes *r, uint8_t number)
{
    uint8_t network[RECIPE_NETWORK_LEN] = {9, number};
    recipes_note(r, network, peer, RECIPE_BIRTHDAY);
}

static void are_found_by_network_and_peer(void **state)
{
    (void)state;
    struct recipes r;
    recipes_init(&r);
    assert_int_equal(recipes_find(&r, home, peer), RECIPE_NONE);
    recipes_note(&r, home, peer, RECIPE_BIRTHDAY);
    assert_int_equal(recipes_find(&r, home, peer), RECIPE_BIRTHDAY);
    assert_int_equal(recipes_find(&r, cafe, peer), RECIPE_NONE);
    assert_int_equal(recipes_find(&r, home, other), RECIPE_NONE);
    recipes_note(&r, home, peer, RECIPE_NONE);
    assert_int_equal(recipes_find(&r, home, peer), RECIPE_NONE);
    assert_int_equal(r.count, 0);
}

static void the_version_changes_with_the_list_only(void **state)
{
    (void)state;
    struct recipes r;
    recipes_init(&r);
    recipes_note(&r, home, peer, RECIPE_NONE);
    assert_int_equal(r.version, 0);
    recipes_note(&r, home, peer, RECIPE_BIRTHDAY);
    assert_int_equal(r.version, 1);
    recipes_note(&r, home, peer, RECIPE_BIRTHDAY);
    assert_int_equal(r.version, 1);
    recipes_note(&r, cafe, peer, RECIPE_BIRTHDAY);
    recipes_note(&r, home, peer, RECIPE_BIRTHDAY); /* the newest again */
    assert_int_equal(r.version, 3);
    assert_memory_equal(r.list[0].network, home, sizeof(home));
    recipes_note(&r, home, peer, RECIPE_NONE);
    assert_int_equal(r.version, 4);
}

static void the_oldest_is_forgotten(void **state)
{
    (void)state;
    struct recipes r;
    recipes_init(&r);
    for (unsigned i = 0; i < RECIPES_MAX + 3; i++) {
        note(&r, (uint8_t)i);
    }
    assert_int_equal(r.count, RECIPES_MAX);
    assert_int_equal(r.forgotten, 3);
    assert_int_equal(r.list[0].network[1], RECIPES_MAX + 2);
    assert_int_equal(r.list[RECIPES_MAX - 1].network[1], 3);
}

static void come_back_as_they_were_written(void **state)
{
    (void)state;
    uint8_t bytes[RECIPES_LEN_MAX];
    for (unsigned count = 0; count <= RECIPES_MAX; count += RECIPES_MAX / 4) {
        struct recipes r;
        struct recipes back;
        recipes_init(&r);
        recipes_init(&back);
        for (unsigned i = 0; i < count; i++) {
            note(&r, (uint8_t)i);
        }
        size_t len = recipes_export(&r, bytes);
        assert_int_equal(recipes_import(&back, bytes, len), 0);
        assert_int_equal(back.count, count);
        for (unsigned i = 0; i < count; i++) {
            assert_memory_equal(back.list[i].network, r.list[i].network, RECIPE_NETWORK_LEN);
            assert_memory_equal(back.list[i].peer, r.list[i].peer, RECIPE_PEER_LEN);
            assert_int_equal(back.list[i].kind, r.list[i].kind);
        }
    }
}

static void what_is_not_ours_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[RECIPES_LEN_MAX + 1] = {0};
    struct recipes r;
    recipes_init(&r);
    note(&r, 1);
    note(&r, 2);
    size_t len = recipes_export(&r, bytes);
    struct recipes back;
    for (size_t i = 0; i < len; i++) {
        recipes_init(&back);
        assert_int_equal(recipes_import(&back, bytes, i), ERR_MALFORMED);
        assert_int_equal(back.count, 0);
    }
    assert_int_equal(recipes_import(&back, bytes, len + 1), ERR_MALFORMED); /* more than it says */
    bytes[12]++;
    assert_int_equal(recipes_import(&back, bytes, len), ERR_VERSION);
    bytes[12]--;
    bytes[13] = RECIPES_MAX + 1;
    assert_int_equal(recipes_import(&back, bytes, sizeof(bytes)), ERR_MALFORMED);
    bytes[13] = 2;
    bytes[len - 1] = 77; /* a kind of a later version */
    assert_int_equal(recipes_import(&back, bytes, len), ERR_MALFORMED);
    assert_int_equal(back.count, 0);
}

static void names_tell_networks_apart_whatever_the_port(void **state)
{
    (void)state;
    struct addr router = addr_ipv4(192, 168, 1, 1, 5351);
    struct addr public = addr_ipv4(203, 0, 113, 7, 41741);
    struct addr none = {0};
    uint8_t a[RECIPE_NETWORK_LEN];
    uint8_t b[RECIPE_NETWORK_LEN];
    recipe_name_network(a, &router, &public);
    public.port = 99;
    recipe_name_network(b, &router, &public);
    assert_memory_equal(a, b, sizeof(a));
    recipe_name_network(b, &none, &public);
    assert_memory_not_equal(a, b, sizeof(a));
    public.ip[3]++;
    recipe_name_network(b, &router, &public);
    assert_memory_not_equal(a, b, sizeof(a));
    uint8_t key[32] = {1};
    uint8_t x[RECIPE_PEER_LEN];
    uint8_t y[RECIPE_PEER_LEN];
    recipe_name_peer(x, key);
    key[31]++;
    recipe_name_peer(y, key);
    assert_memory_not_equal(x, y, sizeof(x));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(are_found_by_network_and_peer),
        cmocka_unit_test(the_version_changes_with_the_list_only),
        cmocka_unit_test(the_oldest_is_forgotten),
        cmocka_unit_test(come_back_as_they_were_written),
        cmocka_unit_test(what_is_not_ours_is_refused),
        cmocka_unit_test(names_tell_networks_apart_whatever_the_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
