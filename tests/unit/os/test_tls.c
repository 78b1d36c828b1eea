/* Two ends in one process: what one wants written the other reads, in steps of a chosen size. */
#include "os/tls.h"

#include "support/certs.h"

#include <base/err.h>
#include <base/mem.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

enum { ROUNDS = 10000, GOT_MAX = 1 << 20 };

struct end {
    struct tls_context *context;
    struct tls *tls;
    uint8_t *got;
    size_t got_len;
    int err;
};

struct fixture {
    struct certs certs;
    struct end client, server;
    size_t step;
};

static void open_fixture(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    f->step = 100000;
    certs_open(&f->certs);
    certs_make(&f->certs, "ca", &(struct certs_options){.authority = true});
    certs_make(&f->certs, "good",
               &(struct certs_options){.issuer = "ca", .names = "DNS:relay.example,IP:192.0.2.7"});
    assert_int_equal(setenv("SSL_CERT_FILE", certs_path(&f->certs, "ca", "crt"), 1), 0);
    f->client.got = calloc(1, GOT_MAX);
    f->server.got = calloc(1, GOT_MAX);
    assert_true(f->client.got && f->server.got);
}

static void close_end(struct end *e)
{
    tls_free(e->tls);
    tls_context_free(e->context);
    e->tls = NULL;
    e->context = NULL;
    e->err = 0;
    e->got_len = 0;
}

static void close_fixture(struct fixture *f)
{
    close_end(&f->client);
    close_end(&f->server);
    free(f->client.got);
    free(f->server.got);
    certs_close(&f->certs);
}

static void serve(struct fixture *f, const char *name)
{
    char why[TLS_WHY_MAX];
    int err = tls_server_new(certs_path(&f->certs, name, "crt"), certs_path(&f->certs, name, "key"),
                             &f->server.context, why);
    if (err) {
        fail_msg("%s", why);
    }
}

static int reload(struct fixture *f, const char *name, char why[TLS_WHY_MAX])
{
    return tls_server_reload(f->server.context, certs_path(&f->certs, name, "crt"),
                             certs_path(&f->certs, name, "key"), why);
}

static void trust(struct fixture *f, const struct tls_client_options *options)
{
    char why[TLS_WHY_MAX];
    assert_int_equal(tls_client_new(options, &f->client.context, why), 0);
}

static void connect_ends(struct fixture *f)
{
    f->client.tls = tls_new(f->client.context);
    f->server.tls = tls_new(f->server.context);
    assert_true(f->client.tls && f->server.tls);
}

/* Moves up to `step` bytes; false if there were none. */
static bool move(struct fixture *f, struct end *from, struct end *to)
{
    const uint8_t *data;
    size_t len = tls_output(from->tls, &data);
    len = len < f->step ? len : f->step;
    if (len == 0) {
        return false;
    }
    uint8_t *copy = malloc(len); /* so that nobody can keep looking at it */
    assert_non_null(copy);
    memcpy(copy, data, len);
    tls_sent(from->tls, len);
    if (!to->err) {
        int n;
        tls_input(to->tls, copy, len);
        while ((n = tls_read(to->tls, to->got + to->got_len, GOT_MAX - to->got_len)) > 0) {
            to->got_len += (size_t)n;
        }
        to->err = n;
    }
    free(copy);
    return true;
}

static void settle(struct fixture *f)
{
    for (int i = 0; i < ROUNDS; i++) {
        bool up = move(f, &f->client, &f->server);
        bool down = move(f, &f->server, &f->client);
        if (!up && !down) {
            return;
        }
    }
    fail_msg("it does not come to rest");
}

static void bytes_arrive_in_any_pieces(void **state)
{
    (void)state;
    static const size_t steps[] = {1, 17, 5000, 100000};
    static uint8_t data[TLS_WRITE_MAX];
    struct fixture f;
    open_fixture(&f);
    randombytes_buf(data, sizeof(data));
    serve(&f, "good");
    trust(&f, &(struct tls_client_options){.host = "relay.example"});
    for (size_t i = 0; i < 4; i++) {
        size_t len = i == 0 ? 300 : sizeof(data);
        f.step = steps[i];
        connect_ends(&f);
        assert_false(tls_is_ready(f.client.tls));
        settle(&f);
        assert_true(tls_is_ready(f.client.tls) && tls_is_ready(f.server.tls));
        assert_int_equal(tls_write(f.client.tls, data, len), 0);
        settle(&f);
        assert_int_equal(tls_write(f.server.tls, data, len), 0);
        settle(&f);
        assert_int_equal(f.server.got_len, len);
        assert_int_equal(f.client.got_len, len);
        assert_memory_equal(f.server.got, data, len);
        assert_memory_equal(f.client.got, data, len);
        tls_finish(f.client.tls);
        settle(&f);
        assert_int_equal(f.server.err, ERR_CLOSED);
        tls_free(f.client.tls);
        tls_free(f.server.tls);
        f.client.got_len = f.server.got_len = 0;
        f.server.err = f.client.err = 0;
        f.client.tls = f.server.tls = NULL;
    }
    close_fixture(&f);
}

/* Handshakes with a certificate that must be refused, and why. */
static void refuse(struct fixture *f, const char *certificate,
                   const struct tls_client_options *options, const char *why)
{
    serve(f, certificate);
    trust(f, options);
    connect_ends(f);
    settle(f);
    assert_true(f->client.err < 0);
    assert_false(tls_is_ready(f->client.tls));
    if (!strstr(tls_why(f->client.tls), why)) {
        fail_msg("it says: %s", tls_why(f->client.tls));
    }
    assert_true(f->server.err < 0); /* it was told */
    assert_true(tls_why(f->server.tls)[0] != '\0');
    close_end(&f->client);
    close_end(&f->server);
}

static void certificates_that_prove_nothing_are_refused(void **state)
{
    (void)state;
    const struct tls_client_options options = {.host = "relay.example"};
    struct fixture f;
    open_fixture(&f);
    certs_make(&f.certs, "other",
               &(struct certs_options){.issuer = "ca", .names = "DNS:other.example"});
    certs_make(
        &f.certs, "old",
        &(struct certs_options){
            .issuer = "ca", .names = "DNS:relay.example", .from_s = -200000, .until_s = -100000});
    certs_make(
        &f.certs, "early",
        &(struct certs_options){
            .issuer = "ca", .names = "DNS:relay.example", .from_s = 100000, .until_s = 200000});
    certs_make(&f.certs, "self", &(struct certs_options){.names = "DNS:relay.example"});
    certs_make(&f.certs, "ca2", &(struct certs_options){.authority = true});
    certs_make(&f.certs, "foreign",
               &(struct certs_options){.issuer = "ca2", .names = "DNS:relay.example"});
    /* A name that says it is an address, and has one byte. */
    certs_make(&f.certs, "odd",
               &(struct certs_options){.issuer = "ca", .names = "DER:30:03:87:01:7f"});
    refuse(&f, "odd", &options, "not for relay.example");
    refuse(&f, "other", &options, "its certificate is for other.example, not for relay.example");
    refuse(&f, "good", &(struct tls_client_options){.host = "192.0.2.8"},
           "its certificate is for relay.example, 192.0.2.7, not for 192.0.2.8");
    refuse(&f, "old", &options, "expired on 20");
    refuse(&f, "early", &options, "is the clock here right?");
    refuse(&f, "self", &options, "self-signed");
    refuse(&f, "foreign", &options, "nobody whom this system trusts");
    close_fixture(&f);
}

static void an_address_may_be_the_name(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    serve(&f, "good");
    trust(&f, &(struct tls_client_options){.host = "192.0.2.7"});
    connect_ends(&f);
    settle(&f);
    assert_true(tls_is_ready(f.client.tls));
    close_fixture(&f);
}

static void a_pinned_key_needs_no_name_and_no_issuer(void **state)
{
    (void)state;
    uint8_t pins[2][TLS_PIN_LEN] = {{1}};
    struct fixture f;
    open_fixture(&f);
    struct tls_client_options options = {
        .host = "any.example", .pins = (const uint8_t(*)[TLS_PIN_LEN])pins, .pin_count = 2};
    certs_make(&f.certs, "self",
               &(struct certs_options){.names = "DNS:x", .from_s = -2000, .until_s = -1000});
    certs_pin(&f.certs, "self", pins[1]);
    serve(&f, "self");
    trust(&f, &options);
    connect_ends(&f);
    settle(&f);
    assert_true(tls_is_ready(f.client.tls));
    close_end(&f.client);
    close_end(&f.server);
    pins[1][31] ^= 1;
    refuse(&f, "self", &options, "another key than the pinned one: sha256:");
    /* Also one that the system would trust. */
    options.host = "relay.example";
    refuse(&f, "good", &options, "another key than the pinned one: sha256:");
    close_fixture(&f);
}

static void what_is_not_tls_is_named(void **state)
{
    (void)state;
    static const char get[] = "GET /derp HTTP/1.1\r\nHost: r\r\n\r\n";
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
    uint8_t out[100];
    struct fixture f;
    open_fixture(&f);
    serve(&f, "good");
    trust(&f, &(struct tls_client_options){.host = "relay.example"});
    connect_ends(&f);
    tls_input(f.server.tls, get, sizeof(get) - 1);
    assert_true(tls_read(f.server.tls, out, sizeof(out)) < 0);
    assert_string_equal(tls_why(f.server.tls), "it speaks plain HTTP and not TLS");
    tls_input(f.client.tls, answer, sizeof(answer) - 1);
    assert_true(tls_read(f.client.tls, out, sizeof(out)) < 0);
    assert_string_equal(tls_why(f.client.tls), "it does not speak TLS");
    close_fixture(&f);
}

/* Two connections share the buffer; the one whose socket is full keeps its own bytes. */
static void a_full_socket_keeps_its_bytes_in_order(void **state)
{
    (void)state;
    static uint8_t data[TLS_WRITE_MAX];
    const uint8_t *out;
    struct fixture f;
    struct tls *second;
    open_fixture(&f);
    serve(&f, "good");
    trust(&f, &(struct tls_client_options){.host = "relay.example"});
    connect_ends(&f);
    settle(&f);
    second = f.client.tls;
    struct tls *server = f.server.tls;
    connect_ends(&f);
    settle(&f);
    randombytes_buf(data, sizeof(data));
    assert_int_equal(tls_write(f.server.tls, data, sizeof(data)), 0);
    assert_true(tls_output(f.server.tls, &out) > sizeof(data));
    tls_sent(f.server.tls, 1000);
    size_t left = tls_output(f.server.tls, &out);
    /* Neither a part that is not told yet, nor one that is, is touched by the other one. */
    assert_int_equal(tls_write(server, "x", 1), 0);
    assert_int_equal(tls_output(f.server.tls, &out), left);
    assert_true(tls_output(server, &out) > 0);
    assert_int_equal(tls_write(f.server.tls, "y", 1), 0);
    assert_true(tls_output(f.server.tls, &out) > left);
    assert_true(tls_output(server, &out) > 0);
    tls_free(second);
    tls_free(server);
    close_fixture(&f);
}

static void a_second_connection_resumes(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    serve(&f, "good");
    trust(&f, &(struct tls_client_options){.host = "relay.example"});
    size_t flight[2];
    for (int i = 0; i < 2; i++) {
        const uint8_t *data;
        connect_ends(&f);
        assert_true(move(&f, &f.client, &f.server));
        flight[i] = tls_output(f.server.tls, &data);
        settle(&f);
        assert_true(tls_is_ready(f.client.tls) && tls_is_ready(f.server.tls));
        tls_finish(f.client.tls);
        tls_free(f.client.tls);
        tls_free(f.server.tls);
        f.client.tls = f.server.tls = NULL;
    }
    assert_true(flight[1] < flight[0] / 2); /* no certificate in it */
    close_fixture(&f);
}

static void files_are_read_again_or_the_old_ones_stay(void **state)
{
    (void)state;
    char why[TLS_WHY_MAX];
    char before[TLS_WHY_MAX];
    struct fixture f;
    open_fixture(&f);
    serve(&f, "good");
    (void)tls_server_describe(f.server.context, before);
    assert_non_null(strstr(before, "name=\"relay.example, 192.0.2.7\" until=20"));
    assert_non_null(strstr(before, "pin=sha256:"));
    certs_make(&f.certs, "other", &(struct certs_options){.names = "DNS:other.example"});
    /* A certificate without its key. */
    assert_int_equal(
        rename(certs_path(&f.certs, "other", "crt"), certs_path(&f.certs, "good", "crt")), 0);
    assert_true(reload(&f, "good", why) < 0);
    assert_non_null(strstr(why, "good.key: no key in PEM form that fits the certificate"));
    char after[TLS_WHY_MAX];
    assert_string_equal(tls_server_describe(f.server.context, after), before);
    assert_int_equal(
        rename(certs_path(&f.certs, "other", "key"), certs_path(&f.certs, "good", "key")), 0);
    assert_int_equal(reload(&f, "good", why), 0);
    assert_non_null(strstr(tls_server_describe(f.server.context, after), "other.example"));
    assert_int_equal(remove(certs_path(&f.certs, "good", "key")), 0);
    assert_true(reload(&f, "good", why) < 0);
    assert_non_null(strstr(why, "good.key: No such file"));
    close_fixture(&f);
}

static void memory_that_runs_out_is_an_error(void **state)
{
    (void)state;
    static const uint8_t data[TLS_WRITE_MAX];
    const uint8_t *out;
    char why[TLS_WHY_MAX];
    struct fixture f;
    open_fixture(&f);
    serve(&f, "good");
    for (size_t n = 1; n < 5; n++) {
        mem_fail_after(n);
        int err = tls_client_new(&(struct tls_client_options){.host = "x"}, &f.client.context, why);
        mem_fail_after(0);
        assert_int_equal(err, ERR_NO_MEMORY);
        assert_null(f.client.context);
    }
    trust(&f, &(struct tls_client_options){.host = "relay.example"});
    connect_ends(&f);
    settle(&f);
    assert_int_equal(tls_write(f.server.tls, data, sizeof(data)), 0);
    assert_true(tls_output(f.server.tls, &out) > 0);
    mem_fail_after(1);
    tls_sent(f.server.tls, 1);
    mem_fail_after(0);
    assert_int_equal(tls_write(f.server.tls, data, 1), ERR_NO_MEMORY);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_arrive_in_any_pieces),
        cmocka_unit_test(certificates_that_prove_nothing_are_refused),
        cmocka_unit_test(an_address_may_be_the_name),
        cmocka_unit_test(a_pinned_key_needs_no_name_and_no_issuer),
        cmocka_unit_test(what_is_not_tls_is_named),
        cmocka_unit_test(a_full_socket_keeps_its_bytes_in_order),
        cmocka_unit_test(a_second_connection_resumes),
        cmocka_unit_test(files_are_read_again_or_the_old_ones_stay),
        cmocka_unit_test(memory_that_runs_out_is_an_error),
    };
    if (sodium_init() < 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
