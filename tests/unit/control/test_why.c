#include "control/why.h"

#include <base/mem.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

static char *example(void)
{
    static const struct control_why_path paths[] = {
        {.where = {"direct", "203.0.113.7:41741", NULL},
         .used = true,
         .answered = true,
         .trusted = true,
         .extra_socket = true,
         .rtt_us = 18000,
         .last_answer_s = 2,
         .bytes_sent = 12000000,
         .reason = "in use"},
        {.where = {"relay", NULL, "main"},
         .rtt_us = CONTROL_UNKNOWN,
         .last_answer_s = CONTROL_UNKNOWN,
         .reason = "spare"},
    };
    static const struct control_why_candidate candidates[] = {
        {.kind = "server-reflexive",
         .address = "203.0.113.7:41741",
         .answered = true,
         .rtt_us = 18000,
         .last_probe_s = 300,
         .probes = 3,
         .reason = "in use"},
        {.kind = "host",
         .address = "192.168.1.7:41741",
         .probes = 9,
         .last_probe_s = 4,
         .rtt_us = CONTROL_UNKNOWN,
         .reason = "a private address"},
    };
    const struct control_why why = {.peer = "home",
                                    .state = "connected",
                                    .text = "direct: fine",
                                    .searching = true,
                                    .searching_s = 7,
                                    .our_mapping = "endpoint-independent",
                                    .their_nat = "hard",
                                    .birthday = "none",
                                    .birthday_wait_s = 130,
                                    .paths = paths,
                                    .path_count = 2,
                                    .candidates = candidates,
                                    .candidate_count = 2,
                                    .own = candidates,
                                    .own_count = 1};
    char *json = control_why_json(&why);
    assert_non_null(json);
    return json;
}

static const cJSON *item(const cJSON *root, const char *list, int index, const char *field)
{
    const cJSON *array = cJSON_GetObjectItemCaseSensitive(root, list);
    const cJSON *found = cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(array, index), field);
    assert_non_null(found);
    return found;
}

static void the_json_has_its_fields(void **state)
{
    (void)state;
    char *json = example();
    cJSON *root = cJSON_Parse(json);
    assert_true(cJSON_IsTrue(item(root, "paths", 0, "used")));
    assert_true(cJSON_IsTrue(item(root, "paths", 0, "extra_socket")));
    assert_string_equal(item(root, "paths", 1, "relay")->valuestring, "main");
    assert_true(cJSON_IsNull(item(root, "paths", 1, "rtt_us")));
    assert_true(cJSON_IsNull(item(root, "paths", 1, "address")));
    assert_int_equal(item(root, "candidates", 1, "probes")->valueint, 9);
    assert_string_equal(item(root, "our_candidates", 0, "kind")->valuestring, "server-reflexive");
    assert_int_equal(cJSON_GetObjectItem(root, "birthday_wait_s")->valueint, 130);
    cJSON_Delete(root);
    control_free(json);
}

static void assert_line(const char *text, const char *line)
{
    if (!strstr(text, line)) {
        fail_msg("\"%s\" is not in:\n%s", line, text);
    }
}

static void people_read_lines(void **state)
{
    (void)state;
    char *json = example();
    char *text = control_describe_why(json, strlen(json));
    assert_non_null(text);
    assert_line(text, "home: direct: fine\n");
    assert_line(text, "looking for a direct path since 7 s");
    assert_line(text, "guessing ports: none, next in 2 min");
    assert_line(text, "  * direct 203.0.113.7:41741  rtt 18 ms  answered 2 s ago  sent 12 MB  by a "
                      "socket of its own\n      in use\n");
    assert_line(text, "    relay main  sent 0 B\n      spare\n");
    assert_line(text, "host             192.168.1.7:41741  asked 9 times, last 4 s ago\n");
    assert_line(text, "answers, rtt 18 ms\n");
    mem_free(text);
    control_free(json);
}

/* Another version's, or nobody's: cut short, of other types, with texts without end. */
static void strange_json_does_no_harm(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "[]", "{}", "{\"paths\":1}", "{\"goes\":1}", "{\"paths\":["};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_null(control_describe_why(bad[i], strlen(bad[i])));
        assert_null(control_describe_route(bad[i], strlen(bad[i])));
    }
    static char odd[16384];
    char word[2001];
    memset(word, 'x', 2000);
    word[2000] = '\0';
    int n =
        snprintf(odd, sizeof(odd),
                 "{\"peer\":\"%s\",\"text\":\"%s\",\"paths\":[1,{\"reason\":\"%s\",\"kind\":5}],"
                 "\"candidates\":[{\"address\":\"%s\"}]}",
                 word, word, word, word);
    char *text = control_describe_why(odd, (size_t)n);
    assert_non_null(text);
    mem_free(text);
}

static void a_route_is_told_with_and_without_a_node(void **state)
{
    (void)state;
    struct control_route r = {.target = "home.peer:80",
                              .goes = "peer",
                              .peer = "home",
                              .text = "goes to the machine of peer home",
                              .exit_target = "localhost:80"};
    for (int node = 0; node < 2; node++) {
        r.state = node ? "connected" : NULL;
        r.path = (struct control_where){node ? "relay" : NULL, NULL, node ? "main" : NULL};
        char *json = control_route_json(&r);
        char *text = control_describe_route(json, strlen(json));
        assert_line(text, "home.peer:80: goes to the machine of peer home\n");
        assert_line(text, node ? "the peer is connected, relay main\n" : "no node is running");
        assert_line(text, "asked for localhost:80;");
        mem_free(text);
        control_free(json);
    }
    r = (struct control_route){
        .target = "a:1", .goes = "refuse", .rule = "a = refuse (line 3)", .text = "refused"};
    char *json = control_route_json(&r);
    char *text = control_describe_route(json, strlen(json));
    assert_string_equal(text, "a:1: refused\n  by [route] a = refuse (line 3)\n");
    mem_free(text);
    control_free(json);
}

static void a_pong_names_its_path(void **state)
{
    (void)state;
    const struct control_pong pong = {
        .peer = "home", .rtt_us = 41200, .path = {"relay", NULL, "main"}};
    char *json = control_ping_json(&pong);
    cJSON *root = cJSON_Parse(json);
    assert_int_equal(cJSON_GetObjectItem(root, "rtt_us")->valueint, 41200);
    const cJSON *path = cJSON_GetObjectItem(root, "path");
    assert_string_equal(cJSON_GetObjectItem(path, "relay")->valuestring, "main");
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(path, "address")));
    cJSON_Delete(root);
    control_free(json);
}

static void a_measurement_has_its_fields(void **state)
{
    (void)state;
    const struct control_bench m = {.peer = "home",
                                    .direction = "up",
                                    .aead = "aes256gcm",
                                    .bytes = 1000,
                                    .took_us = 2000,
                                    .bits_per_s = 4000000,
                                    .path = {"direct", "192.0.2.1:7", NULL},
                                    .trip_min_us = CONTROL_UNKNOWN,
                                    .trip_median_us = CONTROL_UNKNOWN,
                                    .trip_max_us = CONTROL_UNKNOWN};
    char *json = control_bench_json(&m);
    cJSON *root = cJSON_Parse(json);
    assert_int_equal(cJSON_GetObjectItem(root, "bits_per_s")->valueint, 4000000);
    assert_string_equal(cJSON_GetObjectItem(root, "aead")->valuestring, "aes256gcm");
    const cJSON *trips = cJSON_GetObjectItem(root, "round_trips");
    assert_int_equal(cJSON_GetObjectItem(trips, "count")->valueint, 0);
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(trips, "min_us")));
    cJSON_Delete(root);
    control_free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_json_has_its_fields),
        cmocka_unit_test(people_read_lines),
        cmocka_unit_test(strange_json_does_no_harm),
        cmocka_unit_test(a_route_is_told_with_and_without_a_node),
        cmocka_unit_test(a_pong_names_its_path),
        cmocka_unit_test(a_measurement_has_its_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
