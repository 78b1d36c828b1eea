/* Who gets in, and by which door: passwords, unix sockets, forwarded ports, the PAC file. */
#include "unit/app/front_world.h"

#include <sys/stat.h>
#include <sys/un.h>

static void the_pac_file_is_given_to_who_asks_by_address(void **state)
{
    (void)state;
    struct front_world *f = setup(NULL, NULL, NULL);
    int client = world_connect(&f->front);
    put(f, client, "GET /proxy.pac HTTP/1.1\r\nHost: 127.0.0.1:1080\r\n\r\n");
    get_page(f, client, "HTTP/1.1 200 OK\r\nContent-Type: application/x-ns-proxy-autoconfig\r\n");
    client = world_connect(&f->front);
    put(f, client, "GET /proxy.pac HTTP/1.1\r\nHost: evil.example:1080\r\n\r\n");
    get_page(f, client, "HTTP/1.1 403 ");
    client = world_connect(&f->front);
    put(f, client, "GET /proxy.pac HTTP/1.1\r\n\r\n");
    get_page(f, client, "HTTP/1.1 403 ");
    teardown(f);
}

#define LOGIN "Proxy-Authorization: Basic YW5uOm9uZQ==\r\n\r\n" /* ann:one */
#define WRONG "Proxy-Authorization: Basic YW5uOnR3bw==\r\n\r\n" /* ann:two */

static void passwords_are_asked_for(void **state)
{
    (void)state;
    struct front_world *f = setup("ann:one\n", NULL, NULL);
    struct addr at;
    int listener = world_listen(&at);
    int client = world_connect(&f->front);
    ask(f, client, "CONNECT 127.0.0.1:$ HTTP/1.1\r\n\r\n", &at);
    get_page(f, client, "HTTP/1.1 407 ");
    assert_int_equal(f->ctx.counters.front.bad_logins, 1);
    client = world_connect(&f->front);
    ask(f, client, "CONNECT 127.0.0.1:$ HTTP/1.1\r\n" LOGIN, &at);
    get(f, client, "HTTP/1.1 200 ");
    (void)close(client);
    client = world_connect(&f->front);
    put(f, client, "\x05\x02");
    world_put(&f->w, client, "\x00\x02\x01\x03", 4);
    put(f, client, "ann\x03one");
    world_put(&f->w, client, "\x05\x01\x00\x01\x7f\x00\x00\x01", 8);
    const uint8_t port[] = {(uint8_t)(at.port >> 8), (uint8_t)at.port};
    world_put(&f->w, client, port, 2);
    char in[8];
    assert_int_equal(world_get(&f->w, client, in, 6), 6);
    assert_memory_equal(in, "\x05\x02\x01\x00\x05\x00", 6);
    (void)close(client);
    client = world_connect(&f->front); /* SOCKS5 without */
    world_put(&f->w, client, "\x05\x01\x00", 3);
    assert_int_equal(world_get(&f->w, client, in, 2), 2);
    assert_memory_equal(in, "\x05\xff", 2);
    assert_int_equal(world_end(&f->w, client), 0);
    (void)close(client);
    /* Guessing: after a while not even the right one is looked at. */
    for (int i = 0; i < BACKOFF_FREE + 1; i++) {
        client = world_connect(&f->front);
        ask(f, client, "CONNECT 127.0.0.1:$ HTTP/1.1\r\n" WRONG, &at);
        get_page(f, client, "HTTP/1.1 407 ");
    }
    assert_int_equal(f->ctx.counters.front.held_off, 0);
    client = world_connect(&f->front);
    ask(f, client, "CONNECT 127.0.0.1:$ HTTP/1.1\r\n" LOGIN, &at);
    get_page(f, client, "HTTP/1.1 407 ");
    assert_int_equal(f->ctx.counters.front.held_off, 1);
    (void)close(listener);
    teardown(f);
}

static void unix_sockets_are_the_users_own(void **state)
{
    (void)state;
    char folder[] = "/tmp/adit-front-XXXXXX";
    struct config_listen here = {.addr = {.family = ADDR_NONE}};
    struct stat st;
    struct addr at;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(here.path, sizeof(here.path), "%s/front", folder);
    struct front_world *f = setup("ann:one\n", &here, NULL);
    assert_int_equal(stat(here.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    int listener = world_listen(&at);
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    (void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", here.path);
    int client = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(fcntl(client, F_SETFL, O_NONBLOCK), 0);
    ask(f, client, GET_X, &at); /* and no password is asked for */
    int server = world_accept(&f->w, listener);
    get_head(f, server, &at);
    put(f, server, ANSWER);
    get(f, client, PASSED);
    (void)close(client);
    (void)close(server);
    (void)close(listener);
    teardown(f);
    assert_int_equal(stat(here.path, &st), -1);
    assert_int_equal(rmdir(folder), 0);
}

static void forwarded_ports_lead_to_their_target(void **state)
{
    (void)state;
    struct target to;
    struct addr at;
    int listener = world_listen(&at);
    target_set_addr(&to, &at);
    struct front_world *f = setup("ann:one\n", NULL, &to);
    int client = world_connect(&f->front);
    int server = world_accept(&f->w, listener); /* before the client said a word */
    put(f, server, "SSH-2.0");
    get(f, client, "SSH-2.0");
    put(f, client, "me too");
    get(f, server, "me too");
    (void)close(client);
    (void)close(server);
    (void)close(listener);
    client = world_connect(&f->front); /* nobody is there any more */
    char in[8];
    assert_int_equal(world_get(&f->w, client, in, 1), -ECONNRESET);
    (void)close(client);
    teardown(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_pac_file_is_given_to_who_asks_by_address),
        cmocka_unit_test(passwords_are_asked_for),
        cmocka_unit_test(unix_sockets_are_the_users_own),
        cmocka_unit_test(forwarded_ports_lead_to_their_target),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
