/* adit.ini: any text gives a config or errors, never both; what is accepted can be asked. */
#include "policy/config.h"
#include "policy/route.h"

#include <base/check.h>

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const struct config *config)
{
    struct addr a = addr_ipv4(10, 1, 2, 3, 80);
    struct target name, addr;
    CHECK(target_parse(&name, "a.corp.example:443", 18) == 0);
    target_set_addr(&addr, &a);
    struct route by_name = route_decide(config, &name, NULL);
    struct route by_addr = route_decide(config, &addr, NULL);
    CHECK(by_name.kind != ROUTE_PEER || by_name.peer < config->peers_count);
    CHECK(by_addr.kind != ROUTE_PEER || by_addr.peer < config->peers_count);
    for (size_t i = 0; i < config->peers_count; i++) {
        const struct acl *acl = &config->peers[i].allow;
        CHECK(!acl_allows(acl, &a, 80, "a.example") || acl_could_allow(acl, "a.example", 80));
    }
    for (size_t f = 0; f < config->fronts_count; f++) {
        const struct config_front *front = &config->fronts[f];
        for (size_t i = 0; i < front->listen.count; i++) {
            const struct config_listen *l = &front->listen.items[i];
            CHECK(l->path[0] || front->users.path || addr_is_loopback(&l->addr));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct config_env env = {.name = "n", .state = "/s", .home = "/h"};
    static struct config_errors errors;
    struct config *config = NULL;
    char line[1024];
    int err = config_parse(&config, "d/f.ini", (const char *)data, size, &env, &errors);
    CHECK((err == 0) == (config != NULL) && (err == 0) == (errors.count == 0));
    for (size_t i = 0; i < errors.count; i++) {
        CHECK(strlen(config_error_format(&errors, i, line, sizeof(line))) > strlen("d/f.ini: "));
    }
    if (config) {
        ask(config);
    }
    config_free(config);
    return 0;
}
