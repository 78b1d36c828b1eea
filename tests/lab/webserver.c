/* A small web server for the lab, so that the tests need nothing but this repository.
 *
 *   lab_webserver ADDRESS PORT DIRECTORY
 *
 * Prints the port it listens on (PORT 0: one that is free) and serves one connection per process.
 *
 *   GET /NAME        the file NAME of DIRECTORY or below; a query is not looked at
 *   GET /-/sent      how many body bytes of files all its sockets have taken so far
 *   GET /-/echo      switches protocols as for WebSocket, then sends back every byte
 *   PUT, POST /ANY   reads the body; answers "BYTES SHA256", so that the sender can compare
 *
 * HTTP/1.1 as far as curl speaks it to a server that closes after each answer: Content-Length,
 * Expect: 100-continue; no chunked bodies, no ranges.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum { HEAD_MAX = 16 * 1024, BLOCK = 256 * 1024, BACKLOG = 512 };

struct request {
    char head[HEAD_MAX + 1];
    size_t head_len; /* up to and with the empty line */
    size_t len;      /* head and what came of the body with it */
    char method[8];
    char path[1024];
    uint64_t body_bytes;
    bool has_length;
    bool wants_continue;
};

static unsigned char block[BLOCK];
static _Atomic uint64_t *sent; /* shared by all processes */

static bool write_all(int fd, const void *data, size_t len)
{
    const char *p = data;
    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        p += n;
        len -= (size_t)n;
    }
    return true;
}

static bool answer_head(int fd, const char *status, uint64_t length)
{
    char head[256];
    int n = snprintf(head, sizeof(head),
                     "HTTP/1.1 %s\r\nContent-Length: %llu\r\nConnection: close\r\n\r\n", status,
                     (unsigned long long)length);
    return write_all(fd, head, (size_t)n);
}

static void answer_text(int fd, const char *status, const char *text)
{
    if (answer_head(fd, status, strlen(text))) {
        (void)write_all(fd, text, strlen(text));
    }
}

/* Reads until the empty line; false when the client went away or says too much. */
static bool read_head(int fd, struct request *req)
{
    while (req->len < HEAD_MAX) {
        ssize_t n = read(fd, req->head + req->len, HEAD_MAX - req->len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        req->len += (size_t)n;
        req->head[req->len] = '\0';
        char *end = strstr(req->head, "\r\n\r\n");
        if (end) {
            req->head_len = (size_t)(end - req->head) + 4;
            return true;
        }
    }
    return false;
}

static bool parse_head(struct request *req)
{
    if (sscanf(req->head, "%7s %1023s HTTP/1.", req->method, req->path) != 2) {
        return false;
    }
    const char *end = req->head + req->head_len;
    for (const char *line = req->head; line < end; line = strstr(line, "\r\n") + 2) {
        if (strncasecmp(line, "Content-Length:", 15) == 0) {
            req->body_bytes = strtoull(line + 15, NULL, 10);
            req->has_length = true;
        } else if (strncasecmp(line, "Expect: 100-continue", 20) == 0) {
            req->wants_continue = true;
        }
    }
    return true;
}

static void send_file(int fd, int file)
{
    struct stat st;
    if (fstat(file, &st) || !S_ISREG(st.st_mode)) {
        answer_text(fd, "404 Not Found", "not a file\n");
        return;
    }
    if (!answer_head(fd, "200 OK", (uint64_t)st.st_size)) {
        return;
    }
    ssize_t got;
    while ((got = read(file, block, sizeof(block))) > 0) {
        for (ssize_t done = 0; done < got;) { /* counted as the socket takes it */
            ssize_t n = write(fd, block + done, (size_t)(got - done));
            if (n < 0 && errno == EINTR) {
                continue;
            }
            if (n <= 0) {
                return;
            }
            done += n;
            atomic_fetch_add(sent, (uint64_t)n);
        }
    }
}

static void echo(int fd, const struct request *req)
{
    static const char head[] = "HTTP/1.1 101 Switching Protocols\r\n"
                               "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    if (!strstr(req->head, "\r\nUpgrade: websocket\r\n")) {
        answer_text(fd, "426 Upgrade Required", "say Upgrade: websocket\n");
        return;
    }
    bool good = write_all(fd, head, sizeof(head) - 1) &&
                write_all(fd, req->head + req->head_len, req->len - req->head_len);
    ssize_t n;
    while (good && (n = read(fd, block, sizeof(block))) > 0) {
        good = write_all(fd, block, (size_t)n);
    }
}

static void serve_get(int fd, struct request *req, int directory)
{
    if (strcmp(req->path, "/-/sent") == 0) {
        char text[32];
        (void)snprintf(text, sizeof(text), "%llu\n", (unsigned long long)atomic_load(sent));
        answer_text(fd, "200 OK", text);
        return;
    }
    if (strcmp(req->path, "/-/echo") == 0) {
        echo(fd, req);
        return;
    }
    int file = -1;
    req->path[strcspn(req->path, "?")] = '\0';
    if (req->path[0] == '/' && req->path[1] != '/' && !strstr(req->path, "..")) {
        file = openat(directory, req->path + 1, O_RDONLY);
    }
    if (file < 0) {
        answer_text(fd, "404 Not Found", "no such file\n");
        return;
    }
    send_file(fd, file);
    (void)close(file);
}

static void serve_put(int fd, const struct request *req)
{
    if (!req->has_length) {
        answer_text(fd, "411 Length Required", "say the length\n");
        return;
    }
    if (req->wants_continue && !write_all(fd, "HTTP/1.1 100 Continue\r\n\r\n", 25)) {
        return;
    }
    crypto_hash_sha256_state hash;
    crypto_hash_sha256_init(&hash);
    uint64_t got = req->len - req->head_len;
    crypto_hash_sha256_update(&hash, (const unsigned char *)req->head + req->head_len, got);
    while (got < req->body_bytes) {
        uint64_t left = req->body_bytes - got;
        ssize_t n = read(fd, block, left < sizeof(block) ? (size_t)left : sizeof(block));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return;
        }
        crypto_hash_sha256_update(&hash, block, (unsigned long long)n);
        got += (uint64_t)n;
    }
    unsigned char sum[crypto_hash_sha256_BYTES];
    char hex[2 * sizeof(sum) + 1], text[128];
    crypto_hash_sha256_final(&hash, sum);
    (void)sodium_bin2hex(hex, sizeof(hex), sum, sizeof(sum));
    (void)snprintf(text, sizeof(text), "%llu %s\n", (unsigned long long)got, hex);
    answer_text(fd, "200 OK", text);
}

static void serve(int fd, int directory)
{
    static struct request req;
    if (!read_head(fd, &req)) {
        return;
    }
    if (!parse_head(&req)) {
        answer_text(fd, "400 Bad Request", "what?\n");
    } else if (strcmp(req.method, "GET") == 0) {
        serve_get(fd, &req, directory);
    } else if (strcmp(req.method, "PUT") == 0 || strcmp(req.method, "POST") == 0) {
        serve_put(fd, &req);
    } else {
        answer_text(fd, "405 Method Not Allowed", "GET, PUT or POST\n");
    }
}

/* A listening socket, or -1; prints the port. */
static int listen_at(const char *address, const char *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof(at);
    int one = 1;
    at.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || inet_pton(AF_INET, address, &at.sin_addr) != 1 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
        bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, BACKLOG) ||
        getsockname(fd, (struct sockaddr *)&at, &len)) {
        perror("lab_webserver");
        return -1;
    }
    printf("%u\n", (unsigned)ntohs(at.sin_port));
    (void)fflush(stdout);
    return fd;
}

static void accept_forever(int listener, int directory)
{
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) {
            continue;
        }
        pid_t child = fork();
        if (child == 0) {
            (void)close(listener);
            serve(fd, directory);
            _exit(0);
        }
        (void)close(fd);
    }
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        (void)fprintf(stderr, "usage: lab_webserver ADDRESS PORT DIRECTORY\n");
        return EX_USAGE;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGCHLD, SIG_IGN);
    sent = mmap(NULL, sizeof(*sent), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int directory = open(argv[3], O_RDONLY | O_DIRECTORY);
    if (sodium_init() < 0 || sent == MAP_FAILED || directory < 0) {
        perror("lab_webserver");
        return EX_OSERR;
    }
    int listener = listen_at(argv[1], argv[2]);
    if (listener < 0) {
        return EX_OSERR;
    }
    accept_forever(listener, directory);
}
