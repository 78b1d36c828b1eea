#include "loop/stun_uv.h"

#include "wire/stun.h"

#include <base/clock.h>
#include <base/err.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    uv_loop_t loop;
    struct stun_uv *server;
    struct addr at[2];
    int fd;
    struct stun_message answer;
    uint8_t buffer[512];
    struct addr from;
};

static void open_fixture(struct fixture *f, size_t count)
{
    memset(f, 0, sizeof(*f));
    assert_int_equal(uv_loop_init(&f->loop), 0);
    f->at[0] = addr_ipv4(127, 0, 0, 1, 0);
    f->at[1] = addr_ipv4(127, 0, 0, 2, 0);
    /* The system chooses both ports; once in a blue moon it chooses one twice. */
    int err = ERR_REFUSED;
    for (int i = 0; i < 10 && err != 0; i++) {
        err = stun_uv_start(&f->loop, f->at, count, NULL, &f->server);
    }
    assert_int_equal(err, 0);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(stun_uv_address(f->server, i, &f->at[i]), 0);
    }
    assert_int_equal(stun_uv_address(f->server, count, &f->from), ERR_NOT_FOUND);
    f->fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_true(f->fd >= 0);
}

static void close_fixture(struct fixture *f)
{
    stun_uv_stop(f->server);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    assert_int_equal(close(f->fd), 0);
}

static void receive(struct fixture *f)
{
    struct sockaddr_in from = {0};
    socklen_t from_len = sizeof(from);
    struct pollfd wait = {.fd = f->fd, .events = POLLIN};
    for (int i = 0; i < 2000 && poll(&wait, 1, 10) == 0; i++) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    ssize_t n = recvfrom(f->fd, f->buffer, sizeof(f->buffer), MSG_DONTWAIT,
                         (struct sockaddr *)&from, &from_len);
    assert_true(n > 0);
    assert_int_equal(stun_read(&f->answer, f->buffer, (size_t)n), 0);
    f->from = (struct addr){.family = ADDR_IPV4, .port = ntohs(from.sin_port)};
    memcpy(f->from.ip, &from.sin_addr, 4);
}

static void send_request(struct fixture *f, const struct addr *to, uint8_t change)
{
    const uint8_t txid[STUN_TXID_LEN] = {1};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(to->port)};
    memcpy(&in.sin_addr, to->ip, 4);
    size_t len = stun_write_request(f->buffer, sizeof(f->buffer), txid, STUN_FORM_PLAIN, change);
    assert_int_equal(sendto(f->fd, f->buffer, len, 0, (const struct sockaddr *)&in, sizeof(in)),
                     len);
}

/* A request to `to`; the answer is f->answer, and came from f->from. */
static void ask(struct fixture *f, const struct addr *to, uint8_t change)
{
    send_request(f, to, change);
    receive(f);
}

static void one_address_answers_from_itself(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, 1);
    ask(&f, &f.at[0], 0);
    assert_int_equal(f.answer.type, STUN_SUCCESS);
    assert_true(addr_equal(&f.from, &f.at[0]));
    assert_int_equal(f.answer.other_address.family, ADDR_NONE);
    ask(&f, &f.at[0], STUN_CHANGE_IP | STUN_CHANGE_PORT);
    assert_int_equal(f.answer.error, STUN_UNKNOWN_ATTRIBUTE);
    assert_int_equal(stun_uv_stats(f.server)->answered, 1);
    assert_int_equal(stun_uv_stats(f.server)->refused, 1);
    close_fixture(&f);
}

static void two_addresses_are_four_sockets(void **state)
{
    (void)state;
    static const uint8_t changes[] = {0, STUN_CHANGE_PORT, STUN_CHANGE_IP,
                                      STUN_CHANGE_IP | STUN_CHANGE_PORT};
    struct fixture f;
    open_fixture(&f, 2);
    for (unsigned i = 0; i < 16; i++) {
        struct addr to = f.at[i & 1];
        to.port = f.at[(i >> 1) & 1].port;
        uint8_t change = changes[i >> 2];
        ask(&f, &to, change);
        assert_int_equal(f.answer.type, STUN_SUCCESS);
        assert_true(addr_equal(&f.from, &f.answer.response_origin));
        assert_int_equal(f.from.port != to.port, (change & STUN_CHANGE_PORT) != 0);
        assert_int_equal(!addr_equal_ip(&f.from, &to), (change & STUN_CHANGE_IP) != 0);
        assert_int_equal(f.answer.other_address.port, f.at[!((i >> 1) & 1)].port);
        assert_true(addr_equal_ip(&f.answer.other_address, &f.at[!(i & 1)]));
    }
    close_fixture(&f);
}

/* The server's own descriptor for that address, or -1. */
static int find_fd(const struct addr *at)
{
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_in in;
        socklen_t len = sizeof(in);
        if (getsockname(fd, (struct sockaddr *)&in, &len) == 0 && in.sin_family == AF_INET &&
            ntohs(in.sin_port) == at->port) {
            return fd;
        }
    }
    return -1;
}

/* Until the descriptor is closed, or the address is bound. */
static void run_until(struct fixture *f, int fd, bool bound)
{
    bool done = false;
    for (int i = 0; i < 10000 && !done; i++) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
        (void)poll(NULL, 0, 1);
        done = bound ? find_fd(&f->at[0]) >= 0 : fcntl(fd, F_GETFD) < 0;
    }
    assert_true(done);
}

/* Behind the server's back something else takes the descriptor's place, while a copy still holds
 * the address: it is opened again when that is gone. */
static void a_socket_that_is_lost_is_opened_again(void **state)
{
    (void)state;
    struct fixture f;
    struct addr at;
    open_fixture(&f, 1);
    ask(&f, &f.at[0], 0);
    int fd = find_fd(&f.at[0]);
    assert_true(fd >= 0);
    int copy = dup(fd);
    int other = open("/dev/null", O_RDWR | O_CLOEXEC);
    assert_true(copy >= 0 && other >= 0);
    assert_int_equal(dup2(other, fd), fd);
    send_request(&f, &f.at[0], 0);
    run_until(&f, fd, false);
    assert_int_equal(close(copy), 0);
    assert_int_equal(close(other), 0);
    run_until(&f, -1, true);
    assert_int_equal(stun_uv_address(f.server, 0, &at), 0);
    assert_true(addr_equal(&at, &f.at[0]));
    ask(&f, &f.at[0], 0);
    assert_int_equal(f.answer.type, STUN_SUCCESS);
    assert_true(addr_equal(&f.from, &at));
    close_fixture(&f);
}

static void addresses_that_make_no_pair_are_refused(void **state)
{
    (void)state;
    static const char *const text[][3] = {
        {"127.0.0.1:0", "127.0.0.1:0", ""},            /* one IP */
        {"127.0.0.1:0", "127.0.0.2:0", "127.0.0.3:0"}, /* three */
    };
    for (size_t i = 0; i < 2; i++) {
        uv_loop_t loop;
        struct stun_uv *server = NULL;
        struct addr at[3] = {{0}};
        size_t count = 0;
        while (count < 3 && text[i][count][0]) {
            assert_int_equal(addr_parse(&at[count], text[i][count]), 0);
            count++;
        }
        assert_int_equal(uv_loop_init(&loop), 0);
        assert_int_equal(stun_uv_start(&loop, at, count, NULL, &server), ERR_REFUSED);
        assert_null(server);
        uv_run(&loop, UV_RUN_DEFAULT);
        assert_int_equal(uv_loop_close(&loop), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_address_answers_from_itself),
        cmocka_unit_test(two_addresses_are_four_sockets),
        cmocka_unit_test(a_socket_that_is_lost_is_opened_again),
        cmocka_unit_test(addresses_that_make_no_pair_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
