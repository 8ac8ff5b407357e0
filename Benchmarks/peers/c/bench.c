#include "bench.h"
#include <errno.h>
#include <netdb.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int session_ms = 10000;
static const char *servers;

void fail(const char *what, int code) {
    fprintf(stderr, "bench: %s: %s\n", what, zerror(code));
    /* Without the part of a result that was printed. */
    _exit(1);
}

int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

void nap(int64_t nanoseconds) {
    struct timespec time = {nanoseconds / 1000000000LL, nanoseconds % 1000000000LL};
    nanosleep(&time, NULL);
}

void wait_for(sem_t *semaphore) {
    while (sem_wait(semaphore) && errno == EINTR) continue;
}

long at_least(long value, long minimum) { return value > minimum ? value : minimum; }

/* Sessions */

static void ignore(zhandle_t *session, int type, int state, const char *path, void *context) {
    (void)session, (void)type, (void)state, (void)path, (void)context;
}

static zhandle_t *sessions_to_close[4096];
static int open_sessions;

static zhandle_t *begin_session(int timeout_ms) {
    zhandle_t *session = zookeeper_init(servers, ignore, timeout_ms, NULL, NULL, 0);
    if (!session || open_sessions == 4096) fail("zookeeper_init", ZSYSTEMERROR);
    sessions_to_close[open_sessions++] = session;
    return session;
}

static zhandle_t *connected(zhandle_t *session) {
    int64_t limit = now() + 60000000000LL;
    while (zoo_state(session) != ZOO_CONNECTED_STATE) {
        if (now() > limit) fail("connect", ZCONNECTIONLOSS);
        nap(1000000);
    }
    return session;
}

zhandle_t *connect_session(int timeout_ms) { return connected(begin_session(timeout_ms)); }

void connect_sessions(zhandle_t **sessions, int count) {
    for (int i = 0; i < count; i++) sessions[i] = begin_session((int)at_least(session_ms, 30000));
    for (int i = 0; i < count; i++) connected(sessions[i]);
}

void make_path(char *path, size_t size, const char *what) {
    snprintf(path, size, "/c-%s-%lx-%x", what, (unsigned long)now(), (unsigned)getpid());
}

void make_node(zhandle_t *session, const char *path) {
    CHECK(zoo_create(session, path, "0123456789", 10, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT, NULL, 0));
}

static long packets_of(const char *host, const char *port) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *address;
    if (getaddrinfo(host, port, &hints, &address)) fail(host, ZSYSTEMERROR);
    int connection = socket(address->ai_family, SOCK_STREAM, 0);
    if (connect(connection, address->ai_addr, address->ai_addrlen) || write(connection, "mntr", 4) != 4)
        fail("mntr", ZSYSTEMERROR);
    freeaddrinfo(address);
    char answer[32768];
    size_t length = 0;
    ssize_t count;
    while ((count = read(connection, answer + length, sizeof answer - 1 - length)) > 0) length += (size_t)count;
    close(connection);
    answer[length] = 0;
    const char *key = "zk_packets_received\t", *line = strstr(answer, key);
    if (!line) fail("mntr has no zk_packets_received", ZSYSTEMERROR);
    return (long)atof(line + strlen(key));
}

/* Calls body for each host and port of the connection string; returns the sum. */
static long for_servers(long (*body)(const char *, const char *)) {
    char *copy = strdup(servers), *rest = NULL;
    long sum = 0;
    for (char *host = strtok_r(copy, ",", &rest); host; host = strtok_r(NULL, ",", &rest)) {
        char *colon = strrchr(host, ':');
        if (!colon) fail("a server has no port", ZBADARGUMENTS);
        *colon = 0;
        sum += body(host, colon + 1);
    }
    free(copy);
    return sum;
}

static long one(const char *host, const char *port) {
    (void)host, (void)port;
    return 1;
}

long packets(void) { return for_servers(packets_of); }
long packets_since(long before) { return packets() - before - for_servers(one); }

/* Results */

struct values make_values(long capacity) {
    return (struct values){calloc((size_t)at_least(capacity, 1), sizeof(int64_t)), 0};
}

void add_value(struct values *values, int64_t value) { values->list[values->count++] = value; }

static int ascending(const void *left, const void *right) {
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

static int64_t percentile(struct values *values, double percent) {
    if (!values->count) return 0;
    qsort(values->list, (size_t)values->count, sizeof *values->list, ascending);
    long index = (long)(values->count * percent / 100);
    return values->list[index < values->count ? index : values->count - 1];
}

int64_t median(struct values *values) { return percentile(values, 50); }

void report_latencies(const char *prefix, struct values *values) {
    const struct { const char *name; double percent; } keys[] = {{"p50", 50}, {"p99", 99}, {"max", 100}};
    for (int i = 0; i < 3; i++)
        printf(", \"%s%s_us\": %.2f", prefix, keys[i].name, percentile(values, keys[i].percent) / 1e3);
}

void report_distribution(struct values *values) {
    const double percents[] = {0, 10, 25, 50, 75, 90, 95, 98, 99, 99.5, 99.9, 100};
    for (size_t i = 0; i < sizeof percents / sizeof *percents; i++)
        printf("%s%.2f", i ? ", " : ", \"percentiles_us\": [", percentile(values, percents[i]) / 1e3);
    printf("]");
}

/* The command line */

struct line {
    const char *name;
    int needed;
    const char *usage;
};

static const struct line lines[] = {
    {"get", 1, "DEPTH [COUNT]"},
    {"create-delete", 1, "DEPTH [COUNT]"},
    {"memory", 1, "CLIENTS"},
    {"mutex", 1, "COUNT [sync|pipelined]"},
    {"rwlock-read", 1, "COUNT [sync|pipelined]"},
    {"handoff", 2, "CONTENDERS COUNT [own|shared]"},
    {"nodecache", 1, "COUNT"},
    {"nodecache-fan", 2, "CACHES COUNT [own|shared]"},
    {"exclusive", 2, "PROCESSORS ROUNDS [paced|tight]"},
    {"exclusive-naive", 2, "PROCESSORS SECONDS"},
};

static int is_valid(int count, char **words) {
    for (size_t i = 0; count > 2 && i < sizeof lines / sizeof *lines; i++)
        if (!strcmp(words[2], lines[i].name)) return count >= 3 + lines[i].needed;
    return 0;
}

int main(int count, char **words) {
    if (!is_valid(count, words)) {
        fprintf(stderr, "usage: bench CONNECT LINE ARGUMENTS\n\n");
        for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) fprintf(stderr, "  %s %s\n", lines[i].name, lines[i].usage);
        return 64;
    }
    const char *line = words[2], *third = count > 5 ? words[5] : "";
    long first = atol(words[3]), second = count > 4 ? atol(words[4]) : 0;
    servers = words[1];
    if (getenv("SESSION_MS")) session_ms = atoi(getenv("SESSION_MS"));
    zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
    int shared = !strcmp(third, "shared");
    printf("{\"peer\": \"c\", \"cmd\": \"%s\"", line);
    if (!strcmp(line, "get") || !strcmp(line, "create-delete")) requests(line, first, second);
    else if (!strcmp(line, "memory")) memory((int)first);
    else if (!strcmp(line, "mutex") || !strcmp(line, "rwlock-read"))
        uncontended(line, first, count > 4 && !strcmp(words[4], "pipelined"));
    else if (!strcmp(line, "handoff")) handoff((int)first, second, shared);
    else if (!strcmp(line, "nodecache")) caches(line, 1, 1, first, at_least(50, first / 2 < 300 ? first / 2 : 300));
    else if (!strcmp(line, "nodecache-fan"))
        caches(line, (int)first, shared ? 1 : (int)first, second, at_least(5, second / 4));
    else if (!strcmp(line, "exclusive")) exclusive((int)first, second, *third ? third : "paced");
    else exclusive_naive((int)first, (int)second);
    printf("}\n");
    while (open_sessions > 0) zookeeper_close(sessions_to_close[--open_sessions]);
    return 0;
}
