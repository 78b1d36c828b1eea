/* The commands as a user calls them: arguments in, exit code and both outputs out. Each call runs
 * in a child process, so that its leaks are seen too. */
#include "cli/cli.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

enum { TEXT_MAX = 16384, SERVER_S = 20 };

static char folder[32];
static char out[TEXT_MAX], err[TEXT_MAX];

static void path_in(char *path, size_t cap, const char *name)
{
    (void)snprintf(path, cap, "%s/%s", folder, name);
}

static void slurp(const char *name, char *text)
{
    char path[64];
    path_in(path, sizeof(path), name);
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, TEXT_MAX - 1, f) : 0;
    text[n] = '\0';
    if (f) {
        (void)fclose(f);
    }
}

static void redirect(int fd, const char *name)
{
    char path[64];
    path_in(path, sizeof(path), name);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    (void)dup2(file, fd);
    (void)close(file);
}

/* Words are parted by spaces; "@" stands for the test's folder. */
static int adit(const char *words)
{
    char text[1024];
    char *argv[32];
    int argc = 0;
    size_t len = 0;
    for (const char *at = words; *at != '\0'; at++) {
        len += (size_t)(*at == '@' ? snprintf(text + len, sizeof(text) - len, "%s", folder)
                                   : snprintf(text + len, sizeof(text) - len, "%c", *at));
    }
    char *save = NULL;
    for (char *w = strtok_r(text, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
        argv[argc++] = w;
    }
    argv[argc] = NULL;
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        redirect(STDOUT_FILENO, "out");
        redirect(STDERR_FILENO, "err");
        exit(cli_main(argc, argv));
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    slurp("out", out);
    slurp("err", err);
    if (!WIFEXITED(status)) {
        fail_msg("`%s` ended by signal %d: %s", words, WTERMSIG(status), err);
    }
    return WEXITSTATUS(status);
}

static void write_file(const char *name, const char *text, mode_t mode)
{
    char path[64];
    path_in(path, sizeof(path), name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static mode_t mode_of(const char *name)
{
    char path[64];
    struct stat st;
    path_in(path, sizeof(path), name);
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 0777;
}

static int make_folder(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/adit-cli-XXXXXX");
    if (!mkdtemp(folder)) {
        return -1;
    }
    /* Whatever the user who runs the tests has must not be found. */
    return setenv("HOME", folder, 1) || unsetenv("XDG_CONFIG_HOME") || unsetenv("XDG_STATE_HOME") ||
           unsetenv("XDG_RUNTIME_DIR");
}

static int remove_folder(void **state)
{
    (void)state;
    char command[64];
    (void)snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command);
}

#define assert_says(text, words)                                                                   \
    do {                                                                                           \
        if (!strstr(text, words)) {                                                                \
            fail_msg("\"%s\" is not in: %s", words, text);                                         \
        }                                                                                          \
    } while (0)

static void help_lists_every_command(void **state)
{
    (void)state;
    static const char *const names[] = {"init",  "run", "status", "netcheck",
                                        "check", "key", "relay",  "demo"};
    assert_int_equal(adit("adit --help"), EX_OK);
    char all[TEXT_MAX];
    memcpy(all, out, sizeof(all));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char words[64];
        char line[64];
        (void)snprintf(line, sizeof(line), "\n  %-8s ", names[i]);
        assert_says(all, line);
        (void)snprintf(words, sizeof(words), "adit help %s", names[i]);
        assert_int_equal(adit(words), EX_OK);
        (void)snprintf(line, sizeof(line), "usage: adit %s", names[i]);
        assert_says(out, line);
        (void)snprintf(words, sizeof(words), "adit %s --help", names[i]);
        char other[TEXT_MAX];
        memcpy(other, out, sizeof(other));
        assert_int_equal(adit(words), EX_OK);
        assert_string_equal(out, other);
    }
}

static void version_is_one_line(void **state)
{
    (void)state;
    assert_int_equal(adit("adit --version"), EX_OK);
    assert_string_equal(out, "adit " ADIT_VERSION "\n");
    assert_int_equal(adit("adit version"), EX_OK);
    assert_string_equal(out, "adit " ADIT_VERSION "\n");
}

static void wrong_calls_are_usage_errors(void **state)
{
    (void)state;
    static const struct {
        const char *words, *says;
    } calls[] = {
        {"adit", "--help"},
        {"adit stauts", "did you mean \"status\"?"},
        {"adit frobnicate", "no command \"frobnicate\""},
        {"adit help ru", "did you mean \"run\"?"},
        {"adit run extra", "too many arguments"},
        {"adit run -c", "--config needs FILE"},
        {"adit run --config", "--config needs FILE"},
        {"adit status --josn", "no option --josn, did you mean --json?"},
        {"adit status --jason=1", "did you mean --json?"},
        {"adit status --halp", "did you mean --help?"},
        {"adit status --verbose", "no option --verbose;"},
        {"adit status -x", "no option -x;"},
        {"adit --verbose", "no option --verbose;"},
        {"adit ping .peer", "\".peer\" is no name of a peer"},
        {"adit why a/b", "\"a/b\" is no name of a peer"},
        {"adit status --json=1", "--json takes no value"},
        {"adit key", "is missing"},
        {"adit key old x", "new FILE"},
        {"adit key new", "new FILE"},
        {"adit demo --port 0", "no port"},
        {"adit demo --port 8o", "no port"},
        {"adit demo --port 65536", "no port"},
        {"adit init --name a.b", "is no name"},
    };
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        assert_int_equal(adit(calls[i].words), EX_USAGE);
        assert_says(err, calls[i].says);
        assert_memory_equal(err, "adit: ", 6);
        assert_string_equal(out, "");
    }
}

static void init_makes_what_check_finds_good(void **state)
{
    (void)state;
    assert_int_equal(adit("adit init --name home -c @/new/adit.ini"), EX_OK);
    assert_says(out, "[peer home]");
    assert_says(out, "adit invite -c ");
    assert_int_equal(mode_of("new/adit.key"), 0600);
    assert_int_equal(mode_of("new/adit.ini"), 0600);
    assert_int_equal(adit("adit check --config=@/new/adit.ini"), EX_OK);
    assert_int_equal(adit("adit key show -c@/new/adit.ini"), EX_OK);
    assert_int_equal(strlen(out), 44);
    char ini[TEXT_MAX];
    char key[64];
    slurp("new/adit.ini", ini);
    (void)snprintf(key, sizeof(key), "%.43s", out);
    assert_says(ini, key);
    assert_says(ini, "\nname = home\n");

    assert_int_equal(adit("adit init -c @/new/adit.ini"), EX_CANTCREAT);
    assert_says(err, "--force");
    assert_int_equal(adit("adit init --force --name den -c @/new/adit.ini"), EX_OK);
    assert_says(out, key); /* the identity stays */
    slurp("new/adit.ini", ini);
    assert_says(ini, "\nname = den\n");
}

static void init_goes_to_the_default_place(void **state)
{
    (void)state;
    assert_int_equal(adit("adit init --name home"), EX_OK);
    assert_int_equal(mode_of(".config/adit/adit.key"), 0600);
    assert_int_equal(adit("adit check"), EX_OK);
    assert_int_equal(adit("adit status"), EX_UNAVAILABLE);
    assert_says(err, "adit: no node is running at ");
    assert_says(err, "/.local/state/adit/control.sock");
}

static void keys_are_private_and_never_overwritten(void **state)
{
    (void)state;
    assert_int_equal(adit("adit key new @/k"), EX_OK);
    char key[64];
    char secret[TEXT_MAX];
    (void)snprintf(key, sizeof(key), "%.44s", out);
    assert_int_equal(mode_of("k"), 0600);
    slurp("k", secret);
    assert_int_equal(strlen(secret), 44);
    assert_string_not_equal(secret, key);
    assert_int_equal(adit("adit key show @/k"), EX_OK);
    assert_string_equal(out, key);
    assert_int_equal(adit("adit key new @/k"), EX_CANTCREAT);
    char after[TEXT_MAX];
    slurp("k", after);
    assert_string_equal(after, secret);

    write_file("open", secret, 0644);
    assert_int_equal(adit("adit key show @/open"), EX_NOPERM);
    assert_says(err, "chmod 600");
    write_file("short", "abc\n", 0600);
    assert_int_equal(adit("adit key show @/short"), EX_CONFIG);
    assert_int_equal(adit("adit key show @/missing"), EX_NOINPUT);
    assert_says(err, "missing");
    assert_null(strstr(err, secret));
}

static void errors_of_the_ini_name_file_and_line(void **state)
{
    (void)state;
    write_file("bad.ini", "[node]\nname = home\ncolour = red\n[front]\nlisten = 0.0.0.0:1080\n",
               0600);
    assert_int_equal(adit("adit check -c @/bad.ini"), EX_CONFIG);
    char line[64];
    (void)snprintf(line, sizeof(line), "%s/bad.ini:3: ", folder);
    assert_says(err, line);
    (void)snprintf(line, sizeof(line), "%s/bad.ini:5: ", folder);
    assert_says(err, line);
    assert_int_equal(adit("adit run -c @/bad.ini"), EX_CONFIG);
    assert_says(err, line);
    assert_int_equal(adit("adit relay -c @/bad.ini"), EX_CONFIG);
    assert_int_equal(adit("adit status -c @/bad.ini"), EX_CONFIG);
    assert_int_equal(adit("adit run -c @/missing.ini"), EX_NOINPUT);
    assert_says(err, "adit init");
    assert_int_equal(adit("adit relay -c @/missing.ini"), EX_NOINPUT);
    assert_says(err, "[server]");
    assert_int_equal(adit("adit check -c @/missing.ini"), EX_CONFIG);
}

static void check_looks_at_the_keys_too(void **state)
{
    (void)state;
    write_file("keyless.ini", "[node]\nname = home\nkey = nokey\n", 0600);
    assert_int_equal(adit("adit check -c @/keyless.ini"), EX_CONFIG);
    assert_says(err, "nokey");
    assert_int_equal(adit("adit run -c @/keyless.ini"), EX_NOINPUT);
    write_file("nokey", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n", 0640);
    assert_int_equal(adit("adit check -c @/keyless.ini"), EX_CONFIG);
    assert_says(err, "chmod 600");
    assert_int_equal(adit("adit run -c @/keyless.ini"), EX_NOPERM);
    write_file("relay.ini", "[server]\nlisten = 127.0.0.1:0\nopen = yes\nkey = rk\n", 0600);
    assert_int_equal(adit("adit check -c @/relay.ini"), EX_CONFIG);
    assert_says(err, "rk");
    assert_int_equal(adit("adit key new @/rk"), EX_OK);
    assert_int_equal(adit("adit check -c @/relay.ini"), EX_OK);
    assert_int_equal(adit("adit relay -c @/keyless.ini"), EX_CONFIG);
    assert_says(err, "[server]");
}

/* A child that answers every connection with a redirection. */
static pid_t serve_redirects(uint16_t *port)
{
    static const char answer[] = "HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n";
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, len), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    assert_int_equal(listen(listener, 4), 0);
    *port = ntohs(at.sin_port);
    pid_t child = fork();
    if (child == 0) {
        (void)alarm(SERVER_S); /* a test that fails leaves nobody behind */
    }
    while (child == 0) {
        char request[1024];
        int fd = accept(listener, NULL, NULL);
        if (read(fd, request, sizeof(request)) > 0) {
            (void)!write(fd, answer, sizeof(answer) - 1);
        }
        (void)close(fd);
    }
    (void)close(listener);
    return child;
}

static void a_node_is_no_peer_of_its_own(void **state)
{
    (void)state;
    char ini[TEXT_MAX];
    assert_int_equal(adit("adit key new @/self.key"), EX_OK);
    (void)snprintf(ini, sizeof(ini), "[node]\nkey = self.key\n\n[peer home]\nkey = %.44s", out);
    write_file("self.ini", ini, 0600);
    assert_int_equal(adit("adit check -c @/self.ini"), EX_CONFIG);
    assert_says(err, "self.ini:4: [peer home] key: is the key of this very node");
    assert_int_equal(adit("adit run -c @/self.ini"), EX_CONFIG);
}

static void netcheck_reads_an_ini_without_a_key(void **state)
{
    (void)state;
    write_file("adit.ini", "[node]\nkey = none.key\nportmap = no\n", 0600);
    assert_int_equal(adit("adit netcheck -c @/adit.ini"), EX_UNAVAILABLE);
    assert_says(err, "nobody to ask");
    assert_says(out, "UDP           not tried");
    assert_says(out, "port mapping  not tried");
    assert_int_equal(adit("adit netcheck --json -c @/adit.ini"), EX_UNAVAILABLE);
    assert_int_equal(out[0], '{');
    assert_says(out, "\"service\":\t\"none\"");
    write_file("bad.ini", "[node]\nstun = nowhere\n", 0600);
    assert_int_equal(adit("adit netcheck -c @/bad.ini"), EX_CONFIG);
    assert_says(err, "bad.ini:2:");
    assert_int_equal(adit("adit netcheck -c @/absent.ini"), EX_NOINPUT);
}

/* A page at the port of a relay, as a captive portal has it, is no relay. */
static void netcheck_tells_a_relay_from_a_web_page(void **state)
{
    (void)state;
    char ini[128];
    uint16_t port;
    pid_t server = serve_redirects(&port);
    (void)snprintf(ini, sizeof(ini), "[node]\nportmap = no\n[relay r]\nurl = http://127.0.0.1:%u\n",
                   (unsigned)port);
    write_file("adit.ini", ini, 0600);
    assert_int_equal(adit("adit netcheck -c @/adit.ini"), EX_OK);
    assert_says(out, "relay         r: no answer (HTTP status 302: a captive portal?)");
    assert_int_equal(kill(server, SIGKILL), 0);
    assert_int_equal(waitpid(server, NULL, 0), server);
}

static void status_without_a_node_says_so(void **state)
{
    (void)state;
    assert_int_equal(adit("adit status --socket @/none.sock"), EX_UNAVAILABLE);
    assert_says(err, "none.sock");
    assert_says(err, "`adit run` starts it");
    assert_int_equal(adit("adit status --json --socket @/none.sock"), EX_UNAVAILABLE);
    assert_string_equal(out, "");
    assert_int_equal(unsetenv("HOME"), 0);
    assert_int_equal(adit("adit status"), EX_CONFIG);
    assert_says(err, "neither --socket nor [node] control nor $HOME");
}

static void demo_fetches_its_page_and_leaves_nothing(void **state)
{
    (void)state;
    assert_int_equal(adit("adit demo --once"), EX_OK);
    assert_says(out, "unchanged");
    assert_says(out, "path             direct");
    assert_string_equal(err, "");
}

static void environment_leads_to_the_front(void **state)
{
    (void)state;
    write_file("env.ini", "[front]\nlisten = /x/y, 0.0.0.0:1081\nusers = who\n", 0600);
    assert_int_equal(adit("adit env -c @/env.ini"), EX_OK);
    assert_non_null(strstr(out, "\nexport ALL_PROXY=socks5h://127.0.0.1:1081\n"));
    assert_non_null(strstr(out, "\nexport no_proxy=localhost,127.0.0.1,::1\n"));
    write_file("env.ini", "[front]\nlisten = none\n", 0600);
    assert_int_equal(adit("adit env -c @/env.ini"), EX_CONFIG);
    assert_non_null(strstr(err, "no fixed IP:PORT"));
}

static void connect_and_forward_want_a_node_and_a_target(void **state)
{
    (void)state;
    assert_int_equal(adit("adit connect --socket @/nobody home.peer 22"), EX_UNAVAILABLE);
    assert_non_null(strstr(err, "no node is running"));
    assert_int_equal(adit("adit connect --socket @/nobody home.peer 99999"), EX_USAGE);
    assert_int_equal(adit("adit connect --socket @/nobody home.peer"), EX_USAGE);
    assert_int_equal(adit("adit forward --socket @/nobody 8080 home:80"), EX_UNAVAILABLE);
    assert_int_equal(adit("adit forward --socket @/nobody 8080 home?:80"), EX_USAGE);
}

static void users_are_checked(void **state)
{
    (void)state;
    assert_int_equal(adit("adit key new @/u.key"), EX_OK);
    write_file("u.ini", "[node]\nkey = u.key\n[front]\nlisten = 0.0.0.0:1\nusers = who\n", 0600);
    assert_int_equal(adit("adit check -c @/u.ini"), EX_CONFIG); /* no such file */
    write_file("who", "ann:secret-of-ann\n", 0644);
    assert_int_equal(adit("adit check -c @/u.ini"), EX_CONFIG);
    assert_non_null(strstr(err, "others may read these passwords"));
    write_file("who", "ann:x\nsecret-of-ann\n", 0600);
    assert_int_equal(adit("adit check -c @/u.ini"), EX_CONFIG);
    assert_non_null(strstr(err, "who:2: a line is NAME:PASSWORD"));
    assert_null(strstr(err, "secret-of-ann"));
    write_file("who", "ann:secret-of-ann\n", 0600);
    assert_int_equal(adit("adit check -c @/u.ini"), EX_OK);
}

/* The ini's own passwords: root may own it, and the service's group read it; nobody else. */
static void an_ini_with_a_password_is_not_for_everybody(void **state)
{
    (void)state;
    static const char ini[] = "[node]\nkey = p.key\n[relay r]\nurl = http://127.0.0.1:1\n"
                              "proxy = http://ann:hunter2@127.0.0.1:1\n";
    assert_int_equal(adit("adit key new @/p.key"), EX_OK);
    write_file("p.ini", ini, 0644);
    assert_int_equal(adit("adit check -c @/p.ini"), EX_CONFIG);
    assert_says(err, "p.ini: everybody may read the password in [relay r] proxy: chmod 600 ");
    assert_null(strstr(err, "hunter2"));
    assert_int_equal(adit("adit run -c @/p.ini"), EX_NOPERM);
    write_file("p.ini", ini, 0640);
    assert_int_equal(adit("adit check -c @/p.ini"), EX_OK);
    write_file("p.ini", "[server]\nopen = yes\nkey = p.key\ncluster = nats://u:hunter2@n\n", 0604);
    assert_int_equal(adit("adit relay -c @/p.ini"), EX_NOPERM);
    assert_says(err, "password in [server] cluster");
    assert_null(strstr(err, "hunter2"));
    write_file("p.ini", "[node]\nkey = p.key\n", 0644);
    assert_int_equal(adit("adit check -c @/p.ini"), EX_OK);
}

static void no_error_repeats_a_secret_of_the_command_line(void **state)
{
    (void)state;
    static const char offer[] = "adit://key?name=home&token=hunter2";
    char words[128];
    static const char *const calls[] = {
        "adit %s",
        "adit run --c0nfig=%s",
        "adit run --=%s",
        "adit --invite=%s",
        "adit join %s",
        "adit init --name %s",
        "adit ping %s",
        "adit connect %s 80",
        "adit why -c @/adit.ini %s 80",
        "adit invite -c @/adit.ini --relay %s",
        "adit invite -c @/adit.ini --endpoint %s",
        "adit invite -c @/adit.ini --name %s",
        "adit forward 8080 %s",
        "adit serve web %s",
        "adit bench %s",
    };
    assert_int_equal(adit("adit init -c @/adit.ini"), EX_OK);
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        const char *at = strstr(calls[i], "%s");
        (void)snprintf(words, sizeof(words), "%.*s%s%s", (int)(at - calls[i]), calls[i], offer,
                       at + 2);
        assert_int_not_equal(adit(words), EX_OK);
        if (strstr(err, "hunter2") || strstr(out, "hunter2")) {
            fail_msg("%s: %s", words, err);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(help_lists_every_command, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(version_is_one_line, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(wrong_calls_are_usage_errors, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(init_makes_what_check_finds_good, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(init_goes_to_the_default_place, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(keys_are_private_and_never_overwritten, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(errors_of_the_ini_name_file_and_line, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(check_looks_at_the_keys_too, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_node_is_no_peer_of_its_own, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(netcheck_reads_an_ini_without_a_key, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(netcheck_tells_a_relay_from_a_web_page, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(status_without_a_node_says_so, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(demo_fetches_its_page_and_leaves_nothing, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(environment_leads_to_the_front, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(connect_and_forward_want_a_node_and_a_target, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(users_are_checked, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(an_ini_with_a_password_is_not_for_everybody, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(no_error_repeats_a_secret_of_the_command_line, make_folder,
                                        remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
