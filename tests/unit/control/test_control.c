#include "control/control.h"

#include <base/mem.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

static struct control_peer direct_peer(void)
{
    return (struct control_peer){
        .name = "home",
        .key = "KEY",
        .state = "connected",
        .path = {.kind = "direct", .address = "203.0.113.7:41741", .rtt_us = 18000, .mtu = 1400},
        .streams = 3,
        .bytes_in = 12000000,
        .bytes_out = 3000000,
        .last_handshake_s = 60,
        .last_heard_s = 0,
        .home_relay = "main",
    };
}

static char *status_of(const struct control_peer *peers, size_t count)
{
    static const char *const front[] = {"127.0.0.1:1080"};
    static const struct control_relay relay = {
        .name = "main", .url = "http://r:3340", .state = "connecting", .rtt_us = CONTROL_UNKNOWN};
    static const struct control_counter counters[] = {
        {NULL, "packets_in", 7},
        {"front", "requests", 5},
        {"front", "clients", 6},
        {"exit_failures", "refused", 1},
    };
    const struct control_snapshot s = {
        .version = "1",
        .name = "laptop",
        .key = "OWN",
        .listen = "0.0.0.0:41741",
        .front = front,
        .front_count = 1,
        .nat = {.ipv4 = {"endpoint-independent", "203.0.113.9"},
                .ipv6 = {"unknown", NULL},
                .portmap = "pcp",
                .captive_portal = true},
        .peers = peers,
        .peer_count = count,
        .relays = &relay,
        .relay_count = 1,
        .counters = counters,
        .counter_count = 4,
    };
    return control_status(&s);
}

/* The item at "a.b.0.c"; fails the test if there is none. */
static const cJSON *at(const cJSON *item, const char *path)
{
    while (*path != '\0') {
        char name[32] = "";
        size_t len = strcspn(path, ".");
        memcpy(name, path, len);
        item = cJSON_IsArray(item) ? cJSON_GetArrayItem(item, name[0] - '0')
                                   : cJSON_GetObjectItemCaseSensitive(item, name);
        if (!item) {
            fail_msg("no %s", name);
        }
        path += len + (path[len] == '.');
    }
    return item;
}

static void status_has_the_promised_shape(void **state)
{
    (void)state;
    struct control_peer p = direct_peer();
    char *text = status_of(&p, 1);
    cJSON *root = cJSON_Parse(text);
    assert_non_null(root);
    static const struct {
        const char *path, *value;
    } texts[] = {
        {"node.name", "laptop"},
        {"node.key", "OWN"},
        {"node.listen", "0.0.0.0:41741"},
        {"peers.0.name", "home"},
        {"peers.0.key", "KEY"},
        {"peers.0.state", "connected"},
        {"peers.0.path.kind", "direct"},
        {"peers.0.path.address", "203.0.113.7:41741"},
        {"relays.0.name", "main"},
        {"relays.0.url", "http://r:3340"},
        {"relays.0.state", "connecting"},
        {"node.front.0", "127.0.0.1:1080"},
        {"node.nat.ipv4.mapping", "endpoint-independent"},
        {"node.nat.ipv4.address", "203.0.113.9"},
        {"node.nat.ipv6.mapping", "unknown"},
        {"node.nat.portmap", "pcp"},
        {"peers.0.home_relay", "main"},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_string_equal(cJSON_GetStringValue(at(root, texts[i].path)), texts[i].value);
    }
    assert_true(cJSON_IsTrue(at(root, "node.nat.captive_portal")));
    static const struct {
        const char *path;
        double value;
    } numbers[] = {
        {"peers.0.path.rtt_us", 18000},
        {"peers.0.path.mtu", 1400},
        {"peers.0.streams", 3},
        {"peers.0.bytes_in", 12000000},
        {"peers.0.bytes_out", 3000000},
        {"peers.0.last_handshake_s", 60},
        {"peers.0.last_heard_s", 0},
        {"counters.packets_in", 7},
        {"counters.front.requests", 5},
        {"counters.front.clients", 6},
        {"counters.exit_failures.refused", 1},
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        assert_true(cJSON_IsNumber(at(root, numbers[i].path)));
        assert_true(at(root, numbers[i].path)->valuedouble == numbers[i].value);
    }
    assert_true(cJSON_IsNull(at(root, "peers.0.path.relay")));
    assert_true(cJSON_IsNull(at(root, "relays.0.rtt_us")));
    assert_true(cJSON_IsNull(at(root, "node.nat.ipv6.address")));
    cJSON_Delete(root);
    control_free(text);
}

static void without_a_path_there_are_nulls(void **state)
{
    (void)state;
    struct control_peer p = {.name = "home", .key = "KEY", .state = "idle"};
    p.path.kind = "none";
    p.path.rtt_us = p.path.mtu = p.last_handshake_s = p.last_heard_s = CONTROL_UNKNOWN;
    char *text = status_of(&p, 1);
    cJSON *root = cJSON_Parse(text);
    static const char *const nulls[] = {"peers.0.path.address",     "peers.0.path.relay",
                                        "peers.0.path.rtt_us",      "peers.0.path.mtu",
                                        "peers.0.last_handshake_s", "peers.0.last_heard_s"};
    for (size_t i = 0; i < sizeof(nulls) / sizeof(nulls[0]); i++) {
        assert_true(cJSON_IsNull(at(root, nulls[i])));
    }
    cJSON_Delete(root);
    control_free(text);
}

static void a_name_cannot_break_out_of_the_json(void **state)
{
    (void)state;
    struct control_peer p = direct_peer();
    p.name = "a\"b\\c\n";
    char *text = status_of(&p, 1);
    cJSON *root = cJSON_Parse(text);
    assert_string_equal(cJSON_GetStringValue(at(root, "peers.0.name")), p.name);
    cJSON_Delete(root);
    control_free(text);
}

static void people_get_one_line_for_each_peer(void **state)
{
    (void)state;
    struct control_peer peers[3] = {direct_peer(), direct_peer(), direct_peer()};
    peers[1].name = "attic";
    peers[1].path.kind = "relay";
    peers[1].path.relay = "main";
    peers[1].path.address = NULL;
    peers[1].path.rtt_us = 1500;
    peers[2].name = "boat";
    peers[2].state = "lost";
    peers[2].last_heard_s = 600;
    char *json = status_of(peers, 3);
    char *text = control_describe(json, strlen(json));
    assert_non_null(
        strstr(text, "\nhome   direct 203.0.113.7:41741  rtt 18 ms  in 12 MB  out 3.0 MB\n"));
    assert_non_null(strstr(text, "\nattic  relay main  rtt 1.5 ms  in 12 MB  out 3.0 MB\n"));
    assert_non_null(strstr(text, "\nboat   lost  heard 10 min ago  in 12 MB  out 3.0 MB\n"));
    assert_non_null(strstr(text, "\nmain   relay connecting  http://r:3340\n"));
    mem_free(text);
    control_free(json);
}

static void people_read_how_the_world_sees_the_node(void **state)
{
    (void)state;
    static const struct {
        const char *nat, *line;
    } cases[] = {
        {"{\"ipv4\":{\"mapping\":\"none\",\"address\":\"192.0.2.1\"},\"portmap\":\"none\"}",
         "      seen as  IPv4 192.0.2.1 without NAT\n"},
        {"{\"ipv4\":{\"mapping\":\"endpoint-dependent\",\"address\":\"192.0.2.1\"},"
         "\"ipv6\":{\"mapping\":\"none\",\"address\":\"2001:db8::1\"},\"portmap\":\"natpmp\"}",
         "      seen as  IPv4 192.0.2.1 by a NAT of endpoint-dependent mapping"
         "  IPv6 2001:db8::1 without NAT  port mapped by natpmp\n"},
        {"{\"ipv4\":{\"mapping\":\"unknown\",\"address\":null},\"portmap\":\"none\"}", ""},
        {"null", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char json[512];
        (void)snprintf(json, sizeof(json),
                       "{\"node\":{\"name\":\"home\",\"nat\":%s},\"peers\":[],\"relays\":[]}",
                       cases[i].nat);
        char *text = control_describe(json, strlen(json));
        assert_non_null(text);
        assert_string_equal(strchr(text, '\n') + 1, cases[i].line);
        mem_free(text);
    }
}

static void people_read_why_requests_failed(void **state)
{
    (void)state;
    static const struct {
        const char *counters, *lines;
    } cases[] = {
        {"{\"front\":{\"requests\":12,\"connected\":10},\"front_failures\":{\"refused\":1,"
         "\"limit\":0,\"not_allowed\":1},\"exit\":{\"requests\":0}}",
         "      front  12 requests, 10 connected; refused 1, not_allowed 1\n"},
        {"{\"front\":{\"requests\":1,\"connected\":1},\"exit\":{\"requests\":3,"
         "\"connected\":2},\"exit_failures\":{\"refused\":1}}",
         "      front  1 requests, 1 connected\n      exit  3 requests, 2 connected; refused 1\n"},
        {"{\"front\":7,\"exit_failures\":[1]}", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char json[512];
        (void)snprintf(json, sizeof(json),
                       "{\"node\":{\"name\":\"home\"},\"peers\":[],\"counters\":%s}",
                       cases[i].counters);
        char *text = control_describe(json, strlen(json));
        assert_non_null(text);
        assert_string_equal(strchr(text, '\n') + 1, cases[i].lines);
        mem_free(text);
    }
}

static void what_is_not_a_status_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "{", "[]", "{}", "{\"node\":1,\"peers\":[]}", "null"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_null(control_describe(wrong[i], strlen(wrong[i])));
    }
    /* A node of another version: fields of other types than ours, others missing. */
    static const char odd[] = "{\"node\":{},\"peers\":[{\"name\":7,\"path\":[]},5,null]}";
    char *text = control_describe(odd, strlen(odd));
    assert_non_null(text);
    mem_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_has_the_promised_shape),
        cmocka_unit_test(without_a_path_there_are_nulls),
        cmocka_unit_test(a_name_cannot_break_out_of_the_json),
        cmocka_unit_test(people_get_one_line_for_each_peer),
        cmocka_unit_test(people_read_how_the_world_sees_the_node),
        cmocka_unit_test(people_read_why_requests_failed),
        cmocka_unit_test(what_is_not_a_status_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
