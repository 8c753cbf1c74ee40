/* load.c: an HTTP client that posts events as fast as they are answered, checks that each answer is a 200,
 * and says how long they took. One thread, one epoll loop: it is to cost less than the servers it measures.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    TEMPLATES_MAX = 16,
    MARKS_MAX = 16,
    DIGITS = 19,      /* a run of that many # in a body is a number that no two requests share */
    ANSWER_MAX = 8192 /* bytes of an answer, head and body */
};

static const char mark[] = "###################";
_Static_assert(sizeof mark - 1 == DIGITS, "a mark is as long as the number that takes its place");

/* A request with its numbers left open. */
struct template
{
    char *text;
    size_t len, marks[MARKS_MAX], n_marks;
};

enum state { CLOSED, CONNECTING, SENDING, READING, ENDING /* answered, and the server closes */, HELD };

struct client {
    int fd;
    enum state state;
    char *request;
    size_t len, sent, got;
    uint64_t number; /* of the request that is under way, or for which it connects */
    int64_t begun;   /* nanoseconds */
    char answer[ANSWER_MAX];
};

static struct {
    const char *path;
    unsigned port, connections, deadline;
    uint64_t requests, first;
    double seconds;
    bool keep_alive, hold;
    struct template templates[TEMPLATES_MAX];
    size_t n_templates;
} options = {.path = "/", .connections = 64, .deadline = 60, .requests = 1000};

static struct {
    int epoll;
    uint64_t started, answered, held;
    int64_t until; /* when no further request is started */
    int64_t *took; /* nanoseconds, one a request */
} run;

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* --- Requests ---------------------------------------------------------------------------------------- */

static char *read_file(const char *name, size_t *ret_len)
{
    FILE *f = fopen(name, "re");
    if (!f || fseek(f, 0, SEEK_END) < 0)
        err(1, "%s", name);
    size_t len = (size_t)ftell(f);
    rewind(f);
    char *data = calloc(1, len + 1);
    if (!data || fread(data, 1, len, f) != len)
        err(1, "%s", name);
    fclose(f);
    *ret_len = len;
    return data;
}

static void template_add(const char *name)
{
    struct template *t = &options.templates[options.n_templates++];
    size_t len;
    char *body = read_file(name, &len);
    int n = asprintf(
        &t->text,
        "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUser-Agent: load\r\nContent-Type: application/json\r\n"
        "%sContent-Length: %zu\r\n\r\n%s",
        options.path, options.port, options.keep_alive ? "" : "Connection: close\r\n", len, body);
    if (n < 0)
        err(1, "asprintf");
    t->len = (size_t)n;
    free(body);
    for (char *at = t->text; t->n_marks < MARKS_MAX && (at = strstr(at, mark)); at += DIGITS)
        t->marks[t->n_marks++] = (size_t)(at - t->text);
    if (t->n_marks == MARKS_MAX)
        errx(1, "%s: more than %d numbers", name, MARKS_MAX - 1);
}

/* Writes the next request into the client's buffer, with its own number in it. */
static void request_begin(struct client *c)
{
    const struct template *t = &options.templates[c->number % options.n_templates];
    char number[DIGITS + 1];
    snprintf(number, sizeof number, "5%0*" PRIu64, DIGITS - 1, options.first + c->number);
    memcpy(c->request, t->text, t->len);
    for (size_t i = 0; i < t->n_marks; i++)
        memcpy(c->request + t->marks[i], number, DIGITS);
    c->len = t->len;
    c->sent = c->got = 0;
    c->begun = now();
    c->state = SENDING;
}

/* --- Answers ----------------------------------------------------------------------------------------- */

/* Whether the answer is whole. Ends the program where it is no 200. */
static bool answer_complete(struct client *c, bool ended)
{
    c->answer[c->got] = '\0';
    char *end = strstr(c->answer, "\r\n\r\n");
    if (!end && !ended)
        return false;
    if (!end || strncmp(c->answer, "HTTP/1.", 7) != 0 || strncmp(c->answer + 8, " 200", 4) != 0)
        errx(1, "request %" PRIu64 " was not answered 200 but: %.*s", run.answered,
             (int)strcspn(c->answer, "\r\n"), c->got ? c->answer : "(closed)");
    char *length = strcasestr(c->answer, "\r\nContent-Length:");
    if (!length || length > end)
        return ended;
    size_t whole = (size_t)(end + 4 - c->answer) + strtoul(length + 17, NULL, 10);
    if (ended && c->got < whole)
        errx(1, "an answer was cut short");
    return c->got >= whole;
}

/* Whether a further request is to be made. Once the time is up, what was started is all there will be. */
static bool more(void)
{
    if (run.until && now() >= run.until)
        options.requests = run.started;
    return run.started < options.requests;
}

/* --- Connections ------------------------------------------------------------------------------------- */

static void client_connect(struct client *c)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)options.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    c->number = run.started++;
    c->begun = now();
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        err(1, "socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS)
        err(1, "connect");
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    if (epoll_ctl(run.epoll, EPOLL_CTL_ADD, c->fd, &e) < 0)
        err(1, "epoll_ctl");
    c->state = CONNECTING;
}

static void client_hold(struct client *c)
{
    c->state = HELD;
    run.held++;
}

/* Sends what the socket takes. */
static void client_send(struct client *c)
{
    ssize_t n = send(c->fd, c->request + c->sent, c->len - c->sent, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN)
        err(1, "send");
    c->sent += n > 0 ? (size_t)n : 0;
    if (c->sent == c->len)
        c->state = READING;
}

static void client_connected(struct client *c)
{
    int64_t connecting = c->begun;
    if (options.requests == 0) {
        client_hold(c);
        return;
    }
    request_begin(c);
    if (!options.keep_alive)
        c->begun = connecting; /* its connection is part of what the request takes */
    client_send(c);
}

/* What follows an answer: the next request, or the connection's end. */
static void client_answered(struct client *c)
{
    run.took[run.answered++] = now() - c->begun;
    if (options.hold) {
        client_hold(c);
    } else if (options.keep_alive && more()) {
        c->number = run.started++;
        request_begin(c);
        client_send(c);
    } else {
        c->state = ENDING;
    }
}

static void client_closed(struct client *c)
{
    if (c->state == READING && answer_complete(c, true))
        client_answered(c);
    if (c->state != ENDING)
        errx(1, "the server closed a connection that was to be kept");
    close(c->fd);
    c->state = CLOSED;
    if (more())
        client_connect(c);
}

static void client_read(struct client *c)
{
    for (;;) {
        ssize_t n = recv(c->fd, c->answer + c->got, sizeof c->answer - 1 - c->got, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0)
            err(1, "recv");
        if (n == 0) {
            client_closed(c);
            return;
        }
        if (c->state != READING)
            errx(1, "more came than was asked for");
        c->got += (size_t)n;
        if (c->got == sizeof c->answer - 1)
            errx(1, "an answer is longer than %d bytes", ANSWER_MAX);
        if (!answer_complete(c, false))
            continue;
        client_answered(c);
        if (options.keep_alive)
            return; /* what comes next is another event */
    }
}

static void client_handle(struct client *c, uint32_t events)
{
    if (c->state == CONNECTING && events & (EPOLLERR | EPOLLHUP))
        errx(1, "port %u does not take a connection", options.port);
    if (c->state == CONNECTING && events & EPOLLOUT)
        client_connected(c);
    else if (c->state == SENDING && events & EPOLLOUT)
        client_send(c);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR) && c->state != CLOSED && c->state != CONNECTING)
        client_read(c);
}

/* --- The run ----------------------------------------------------------------------------------------- */

static void run_until(const uint64_t *counter, const uint64_t *goal)
{
    struct epoll_event events[256];
    while (*counter < *goal) {
        int n = epoll_wait(run.epoll, events, sizeof events / sizeof *events, -1);
        if (n < 0)
            err(1, "epoll_wait");
        for (int i = 0; i < n; i++)
            client_handle(events[i].data.ptr, events[i].events);
    }
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* Microseconds that a share of all requests did not exceed. */
static double quantile(double share)
{
    size_t at = (size_t)(share * (double)run.answered);
    return (double)run.took[at < run.answered ? at : run.answered - 1] / 1e3;
}

static void report(int64_t elapsed)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double cpu = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                 (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    qsort(run.took, run.answered, sizeof *run.took, compare);
    printf("{\"requests\":%" PRIu64
           ",\"seconds\":%.6f,\"p50\":%.1f,\"p99\":%.1f,\"max\":%.1f,\"cpu\":%.6f}\n",
           run.answered, (double)elapsed / 1e9, quantile(0.5), quantile(0.99), quantile(1.0), cpu);
}

static struct client *clients_new(void)
{
    size_t longest = 0;
    for (size_t i = 0; i < options.n_templates; i++)
        longest = options.templates[i].len > longest ? options.templates[i].len : longest;
    struct client *clients = calloc(options.connections, sizeof *clients);
    run.took = malloc((options.requests + 1) * sizeof *run.took);
    if (!clients || !run.took)
        err(1, "calloc");
    memset(run.took, 0, (options.requests + 1) * sizeof *run.took); /* no page faults while it measures */
    for (size_t i = 0; i < options.connections; i++)
        if (longest && !(clients[i].request = malloc(longest)))
            err(1, "malloc");
    return clients;
}

static void usage(void)
{
    fprintf(stderr,
            "usage: load -P PORT [-p PATH] [-c CONNECTIONS] [-n REQUESTS] [-s SECONDS] [-f FIRST] [-t "
            "SECONDS] [-k] "
            "[-H] BODY...\n"
            "  -s  start no further request after this long\n"
            "  -f  the number that takes the place of %s in the first body; each next has the next\n"
            "  -k  keep connections; else one a request\n"
            "  -H  hold the connections, after one request on each (-n 0: none), until stdin ends\n"
            "  -t  end with a failure after this long\n",
            mark);
    exit(2);
}

static void parse(int argc, char *argv[])
{
    for (int o; (o = getopt(argc, argv, "P:p:c:n:s:f:t:kH")) != -1;)
        switch (o) {
        case 'P':
            options.port = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'p':
            options.path = optarg;
            break;
        case 'c':
            options.connections = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'n':
            options.requests = strtoull(optarg, NULL, 10);
            break;
        case 's':
            options.seconds = strtod(optarg, NULL);
            break;
        case 'f':
            options.first = strtoull(optarg, NULL, 10);
            break;
        case 't':
            options.deadline = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'k':
            options.keep_alive = true;
            break;
        case 'H':
            options.hold = options.keep_alive = true;
            break;
        default:
            usage();
        }
    if (!options.port || !options.connections || optind == argc || argc - optind > TEMPLATES_MAX)
        usage();
    if (options.hold && options.requests)
        options.requests = options.connections;
    if (!options.hold && options.requests < options.connections)
        options.connections = (unsigned)options.requests;
    for (int i = optind; i < argc; i++)
        template_add(argv[i]);
}

int main(int argc, char *argv[])
{
    parse(argc, argv);
    alarm(options.deadline);
    struct client *clients = clients_new();
    run.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (run.epoll < 0)
        err(1, "epoll_create1");
    int64_t begun = now();
    run.until = options.seconds > 0 ? begun + (int64_t)(options.seconds * 1e9) : 0;
    for (size_t i = 0; i < options.connections; i++)
        client_connect(&clients[i]);
    if (!options.hold) {
        run_until(&run.answered, &options.requests);
        report(now() - begun);
        return 0;
    }
    uint64_t all = options.connections;
    run_until(&run.held, &all);
    puts("held");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    return 0;
}
