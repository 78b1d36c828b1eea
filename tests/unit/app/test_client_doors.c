/* Who gets in, and by which door: passwords, unix sockets, forwarded ports, the PAC file. */
#include "unit/app/front_world.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

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

/* Of the newest client's login there is nothing left in its buffer. */
static void check_forgotten(const struct front_world *f, const char *login)
{
    const struct client *c = LIST_FIRST(&f->clients.list);
    for (size_t i = 0; i + strlen(login) <= sizeof(c->in); i++) {
        assert_memory_not_equal(c->in + i, login, strlen(login));
    }
}

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
    check_forgotten(f, "YW5uOm9uZQ==");
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
    check_forgotten(f, "one");
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

/* SOCKS5 with a user name: the answer to it, 0 = let in. */
static unsigned login(struct front_world *f, const char *user, const char *password)
{
    char in[4];
    const char user_len = (char)strlen(user), password_len = (char)strlen(password);
    int client = world_connect(&f->front);
    world_put(&f->w, client, "\x05\x01\x02\x01", 4);
    world_put(&f->w, client, &user_len, 1);
    put(f, client, user);
    world_put(&f->w, client, &password_len, 1);
    put(f, client, password);
    assert_int_equal(world_get(&f->w, client, in, 4), 4);
    assert_memory_equal(in, "\x05\x02\x01", 3);
    (void)close(client);
    return (unsigned)in[3];
}

static void a_name_is_checked_without_its_wishes(void **state)
{
    (void)state;
    struct front_world *f = setup("ann:one\nbob+any:two\neve@x.example:three\n", NULL, NULL);
    assert_int_equal(login(f, "ann", "one"), 0);
    assert_int_equal(login(f, "ann+any", "one"), 0);
    assert_int_equal(login(f, "ann+relay-only", "one"), 0);
    assert_int_equal(login(f, "bob+any", "two"), 0);
    assert_int_equal(login(f, "eve@x.example+any", "three"), 0);
    assert_int_equal(login(f, "bob", "two"), 1);
    assert_int_equal(login(f, "ann+fast", "one"), 1);
    assert_int_equal(login(f, "ann@nobody", "one"), 1);
    assert_int_equal(login(f, "+any", "one"), 1);
    assert_int_equal(f->ctx.counters.front.bad_logins, 4);
    teardown(f);
}

static void a_socks4_user_id_may_wish(void **state)
{
    (void)state;
    struct front_world *f = setup(NULL, NULL, NULL);
    static const struct {
        char request[32], answer;
    } cases[] = {
        {"\x04\x01\x00\x09\x7f\x00\x00\x01", 0x5b}, /* nobody at port 9 */
        {"\x04\x01\x00\x09\x7f\x00\x00\x01me", 0x5b},
        {"\x04\x01\x00\x09\x7f\x00\x00\x01me+any", 0x5b},
        {"\x04\x01\x00\x09\x7f\x00\x00\x01me@nobody", 0x5b},
    };
    for (size_t i = 0; i < 4; i++) {
        char in[8];
        size_t len = 8 + strlen(cases[i].request + 8) + 1;
        int client = world_connect(&f->front);
        world_put(&f->w, client, cases[i].request, len);
        assert_int_equal(world_get(&f->w, client, in, 8), 8);
        assert_int_equal(in[1], cases[i].answer);
        assert_int_equal(world_end(&f->w, client), 0);
        (void)close(client);
    }
    assert_int_equal(f->ctx.counters.front.requests, 4);
    assert_int_equal(f->ctx.counters.front.failures[CAUSE_UNKNOWN_WISH], 1);
    teardown(f);
}

/* A connection that is there already serves the next request only if that wishes for the same. */
static void each_request_has_its_own_wish(void **state)
{
    (void)state;
#define ANY "Proxy-Authorization: Basic YW5uK2FueTp4\r\n\r\n" /* ann+any:x */
#define GET_ANY "GET http://127.0.0.1:$/x HTTP/1.1\r\nHost: no\r\n" ANY
    static const struct {
        const char *request;
        bool anew;
    } steps[] = {{GET_X, true}, {GET_X, false}, {GET_ANY, true}, {GET_ANY, false}, {GET_X, true}};
    struct front_world *f = setup(NULL, NULL, NULL);
    struct addr at;
    int listener = world_listen(&at);
    int client = world_connect(&f->front), server = -1;
    for (size_t i = 0; i < 5; i++) {
        ask(f, client, steps[i].request, &at);
        if (steps[i].anew) {
            if (server >= 0) {
                assert_true(world_end(&f->w, server) <= 0);
                (void)close(server);
            }
            server = world_accept(&f->w, listener);
        }
        get_head(f, server, &at);
        put(f, server, ANSWER);
        get(f, client, PASSED);
    }
    assert_int_equal(f->ctx.counters.front.http_reused, 2);
    (void)close(client);
    (void)close(server);
    (void)close(listener);
    teardown(f);
}

enum { STRANGER = 65533, FRIEND = 65532 };

enum { LET_IN, SENT_AWAY, NO_DOOR };

/* A process of that user connects, waits for the end or an answer, and tells `told` of it. It does
 * not exit: what it has inherited from the test is not its own to account for. */
static pid_t connect_as(uid_t uid, const char *path, int told)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    (void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid != 0) {
        return pid;
    }
    char in;
    char result = NO_DOOR;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (setuid(uid) == 0 && connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0) {
        (void)send(fd, "\x05\x01\x00", 3, MSG_NOSIGNAL);
        result = recv(fd, &in, 1, 0) == 1 ? LET_IN : SENT_AWAY;
    }
    bool written = write(told, &result, 1) == 1;
    (void)raise(SIGKILL);
    _exit(written);
}

static int result_of(struct front_world *f, uid_t uid, const char *path)
{
    int told[2];
    int status;
    char result;
    assert_int_equal(pipe(told), 0);
    pid_t pid = connect_as(uid, path, told[1]);
    WORLD_UNTIL(&f->w, waitpid(pid, &status, WNOHANG) == pid);
    (void)close(told[1]);
    assert_int_equal(read(told[0], &result, 1), 1);
    (void)close(told[0]);
    return result;
}

/* The mode keeps strangers out; where the ini lets some users in, the system is asked who they are.
 */
static void unix_sockets_know_their_guests(void **state)
{
    (void)state;
    char folder[] = "/tmp/adit-front-XXXXXX";
    struct config_listen here = {.addr = {.family = ADDR_NONE}};
    uint32_t uids[] = {FRIEND};
    struct stat st;
    if (geteuid() != 0) {
        skip(); /* one user cannot be two */
    }
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chmod(folder, 0711), 0);
    (void)snprintf(here.path, sizeof(here.path), "%s/front", folder);
    struct front_world *f = setup(NULL, &here, NULL);
    assert_int_equal(result_of(f, STRANGER, here.path), NO_DOOR);
    assert_int_equal(result_of(f, 0, here.path), LET_IN);
    /* Somebody loosens the mode: still nobody gets in. */
    assert_int_equal(chmod(here.path, 0666), 0);
    assert_int_equal(result_of(f, STRANGER, here.path), SENT_AWAY);
    assert_int_equal(f->ctx.counters.front.strangers, 1);
    listener_stop(f->listener);
    f->config->fronts[0].uids = (struct config_uids){.items = uids, .count = 1};
    assert_int_equal(listener_start(&f->clients, &here, &f->door, &f->listener), 0);
    assert_int_equal(stat(here.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0666);
    assert_int_equal(result_of(f, FRIEND, here.path), LET_IN);
    assert_int_equal(result_of(f, STRANGER, here.path), SENT_AWAY);
    assert_int_equal(f->ctx.counters.front.strangers, 2);
    f->config->fronts[0].uids = (struct config_uids){0};
    teardown(f);
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
        cmocka_unit_test(a_name_is_checked_without_its_wishes),
        cmocka_unit_test(a_socks4_user_id_may_wish),
        cmocka_unit_test(each_request_has_its_own_wish),
        cmocka_unit_test(unix_sockets_know_their_guests),
        cmocka_unit_test(forwarded_ports_lead_to_their_target),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
