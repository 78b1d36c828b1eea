/* Who asks for /proxy.pac names us in Host: what is taken is one of our own names, and whatever it
 * was, no text of a stranger gets into the JavaScript as such, or into a page as HTML. */
#include "session/pac.h"
#include "session/page.h"

#include <base/check.h>
#include <base/mem.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct config *routes(void)
{
    static struct config_front front;
    static struct config_route list[2] = {
        {.suffix = "corp.example", .port_max = UINT16_MAX, .kind = ROUTE_PEER},
        {.port_max = UINT16_MAX, .kind = ROUTE_REFUSE},
    };
    static struct config config = {.node.name = "home",
                                   .fronts = &front,
                                   .fronts_count = 1,
                                   .routes = list,
                                   .routes_count = 2};
    return &config;
}

static void ask_for_pac(const char *host, size_t len)
{
    char proxy[PAC_PROXY_MAX];
    struct target t;
    if (!pac_proxy(proxy, routes(), host, len)) {
        return;
    }
    CHECK(strspn(proxy, "0123456789abcdefghijklmnopqrstuvwxyz.:[]") == strlen(proxy));
    CHECK(target_parse(&t, proxy, strlen(proxy)) == 0);
    CHECK(t.kind == TARGET_ADDRESS || strcmp(t.name, "home") == 0 ||
          strcmp(t.name, "localhost") == 0);
    char *text = pac_text(routes(), NULL, proxy);
    CHECK(text && strstr(text, proxy) && strlen(text) > 2 && text[strlen(text) - 2] == '}');
    mem_free(text);
}

/* One head, and a body of the length that it says. */
static void make_page(const char *about, bool head_only)
{
    size_t len;
    char *page = page_error(502, about, "nobody listens there", head_only, &len);
    CHECK(page && strlen(page) == len);
    const char *body = strstr(page, "\r\n\r\n");
    const char *length = strstr(page, "Content-Length: ");
    CHECK(body && length && length < body && strncmp(page, "HTTP/1.1 502 ", 13) == 0);
    size_t said = strtoul(length + 16, NULL, 10);
    CHECK(head_only ? body[4] == '\0' : strlen(body + 4) == said);
    mem_free(page);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text = malloc(len + 1);
    CHECK(text);
    memcpy(text, data, len);
    text[len] = '\0';
    ask_for_pac(text, len);
    make_page(text, len & 1);
    free(text);
    return 0;
}
