/* Against a router made of one thread on loopback, which says what the test wrote down before. */
#include "os/upnp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { REQUEST = 4096, SCRIPT_MAX = 8, PORT = 41000 };

#define SERVICE "urn:schemas-upnp-org:service:WANIPConnection:1"

/* An error of the protocol, or 0 = done, or -1 = the outside address. */
struct line {
    int code;
    const char *address;
};

struct router {
    struct upnp_router at;
    struct addr client;
    struct line script[SCRIPT_MAX];
    size_t lines, heard;
    char requests[SCRIPT_MAX][REQUEST];
    int fd;
    pthread_t thread;
};

static void read_request(int fd, char *to)
{
    size_t len = 0;
    to[0] = '\0';
    while (len < REQUEST - 1 && !strstr(to, "</s:Envelope>")) {
        ssize_t n = recv(fd, to + len, REQUEST - 1 - len, 0);
        if (n <= 0) {
            return;
        }
        len += (size_t)n;
        to[len] = '\0';
    }
}

static void reply(int fd, const struct line *line)
{
    char body[512], text[1024];
    if (line->code > 0) {
        (void)snprintf(body, sizeof(body),
                       "<s:Envelope><s:Body><s:Fault><detail><UPnPError><errorCode>%d</errorCode>"
                       "</UPnPError></detail></s:Fault></s:Body></s:Envelope>",
                       line->code);
    } else {
        (void)snprintf(body, sizeof(body),
                       "<s:Envelope><s:Body><u:Response><NewExternalIPAddress>%s"
                       "</NewExternalIPAddress></u:Response></s:Body></s:Envelope>",
                       line->address ? line->address : "");
    }
    int len = snprintf(text, sizeof(text), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s",
                       line->code > 0 ? "500 Internal Server Error" : "200 OK", strlen(body), body);
    (void)send(fd, text, (size_t)len, MSG_NOSIGNAL);
}

static void *serve(void *user)
{
    struct router *r = user;
    for (r->heard = 0; r->heard < r->lines; r->heard++) {
        int fd = accept(r->fd, NULL, NULL);
        if (fd < 0) {
            break;
        }
        read_request(fd, r->requests[r->heard]);
        reply(fd, &r->script[r->heard]);
        (void)close(fd);
    }
    return NULL;
}

static void open_router(struct router *r, const struct line *script, size_t lines)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    memset(r, 0, sizeof(*r));
    memcpy(r->script, script, lines * sizeof(*script));
    r->lines = lines;
    r->client = addr_ipv4(192, 168, 1, 2, PORT);
    r->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(r->fd >= 0);
    assert_int_equal(bind(r->fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(r->fd, 8), 0);
    assert_int_equal(getsockname(r->fd, (struct sockaddr *)&at, &len), 0);
    (void)snprintf(r->at.control, sizeof(r->at.control), "http://127.0.0.1:%u/ctl",
                   (unsigned)ntohs(at.sin_port));
    (void)snprintf(r->at.service, sizeof(r->at.service), "%s", SERVICE);
    assert_int_equal(pthread_create(&r->thread, NULL, serve, r), 0);
}

/* All of the script has been played. */
static void close_router(struct router *r)
{
    (void)shutdown(r->fd, SHUT_RDWR);
    assert_int_equal(pthread_join(r->thread, NULL), 0);
    (void)close(r->fd);
    assert_int_equal(r->heard, r->lines);
}

static void assert_asked(const struct router *r, size_t i, const char *text)
{
    if (!strstr(r->requests[i], text)) {
        fail_msg("request %zu has no %s: %s", i, text, r->requests[i]);
    }
}

#define SCRIPT(r, ...)                                                                             \
    open_router(r, (const struct line[]){__VA_ARGS__},                                             \
                sizeof((const struct line[]){__VA_ARGS__}) / sizeof(struct line))

static void maps_the_same_port_for_a_while(void **state)
{
    (void)state;
    struct router r;
    struct upnp_mapping m;
    char text[ADDR_TEXT_MAX];
    SCRIPT(&r, {0, NULL}, {-1, "198.51.100.7"});
    assert_int_equal(upnp_map(&r.at, &r.client, PORT, &m), 0);
    close_router(&r);
    assert_string_equal(addr_format(&m.external, text), "198.51.100.7:41000");
    assert_int_equal(m.lifetime_s, UPNP_LIFETIME_S);
    assert_asked(&r, 0, SERVICE "#AddPortMapping");
    assert_asked(&r, 0, "<NewExternalPort>41000</NewExternalPort>");
    assert_asked(&r, 0, "<NewProtocol>UDP</NewProtocol>");
    assert_asked(&r, 0, "<NewInternalClient>192.168.1.2</NewInternalClient>");
    assert_asked(&r, 0, "<NewLeaseDuration>7200</NewLeaseDuration>");
    assert_asked(&r, 1, "#GetExternalIPAddress");
}

static void takes_a_mapping_for_good_where_there_is_no_other(void **state)
{
    (void)state;
    static const int codes[] = {725, 402};
    for (size_t i = 0; i < 2; i++) {
        struct router r;
        struct upnp_mapping m;
        SCRIPT(&r, {codes[i], NULL}, {0, NULL}, {-1, "198.51.100.7"});
        assert_int_equal(upnp_map(&r.at, &r.client, PORT, &m), 0);
        close_router(&r);
        assert_int_equal(m.lifetime_s, 0);
        assert_asked(&r, 1, "<NewLeaseDuration>0</NewLeaseDuration>");
    }
}

static void takes_another_port_where_that_one_is_taken(void **state)
{
    (void)state;
    struct router r;
    struct upnp_mapping m;
    SCRIPT(&r, {718, NULL}, {501, NULL}, {0, NULL}, {-1, "198.51.100.7"});
    assert_int_equal(upnp_map(&r.at, &r.client, PORT, &m), 0);
    close_router(&r);
    assert_true(m.external.port >= 1024 && m.external.port != PORT);
    assert_asked(&r, 2, "<NewInternalPort>41000</NewInternalPort>");
    SCRIPT(&r, {718, NULL}, {718, NULL}, {718, NULL}, {718, NULL});
    assert_int_equal(upnp_map(&r.at, &r.client, PORT, &m), -EACCES);
    close_router(&r);
}

static void a_refusal_is_one(void **state)
{
    (void)state;
    struct router r;
    struct upnp_mapping m;
    SCRIPT(&r, {606, NULL});
    assert_int_equal(upnp_map(&r.at, &r.client, PORT, &m), -EACCES);
    close_router(&r);
}

/* What nobody could use is taken back. */
static void an_outside_address_that_is_none_is_given_back(void **state)
{
    (void)state;
    static const char *const addresses[] = {"0.0.0.0", "127.0.0.1", "", "nonsense"};
    for (size_t i = 0; i < 4; i++) {
        struct router r;
        struct upnp_mapping m;
        SCRIPT(&r, {0, NULL}, {-1, addresses[i]}, {0, NULL});
        assert_int_equal(upnp_map(&r.at, &r.client, PORT, &m), -EIO);
        close_router(&r);
        assert_asked(&r, 2, "#DeletePortMapping");
    }
}

static void removes_what_it_mapped(void **state)
{
    (void)state;
    static const struct {
        int code, result;
    } cases[] = {{0, 0}, {714, 0}, {501, -EIO}};
    for (size_t i = 0; i < 3; i++) {
        struct router r;
        SCRIPT(&r, {cases[i].code, NULL});
        assert_int_equal(upnp_unmap(&r.at, PORT), cases[i].result);
        close_router(&r);
        assert_asked(&r, 0, "<NewExternalPort>41000</NewExternalPort>");
    }
}

static void a_router_that_is_gone_is_an_error(void **state)
{
    (void)state;
    struct router r;
    struct upnp_mapping m;
    SCRIPT(&r, {0, NULL});
    assert_int_equal(upnp_unmap(&r.at, PORT), 0);
    close_router(&r);
    assert_int_equal(upnp_map(&r.at, &r.client, PORT, &m), -EIO);
    assert_int_equal(upnp_unmap(&r.at, PORT), -EIO);
}

/* Asked on loopback only, once: it takes a while. */
static int found;
static struct upnp_router nobody;

static void nobody_there_is_no_router(void **state)
{
    (void)state;
    assert_true(found == -ENOENT || found == -ENOSYS);
    assert_string_equal(nobody.control, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_there_is_no_router),
        cmocka_unit_test(maps_the_same_port_for_a_while),
        cmocka_unit_test(takes_a_mapping_for_good_where_there_is_no_other),
        cmocka_unit_test(takes_another_port_where_that_one_is_taken),
        cmocka_unit_test(a_refusal_is_one),
        cmocka_unit_test(an_outside_address_that_is_none_is_given_back),
        cmocka_unit_test(removes_what_it_mapped),
        cmocka_unit_test(a_router_that_is_gone_is_an_error),
    };
    struct addr gateway = addr_ipv4(127, 0, 0, 1, 0);
    found = upnp_find(&nobody, &gateway, &gateway);
    if (found == -ENOSYS) { /* built without the library */
        const struct CMUnitTest alone[] = {cmocka_unit_test(nobody_there_is_no_router)};
        return cmocka_run_group_tests(alone, NULL, NULL);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
