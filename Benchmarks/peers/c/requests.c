#include "bench.h"

/* Plain requests, a number of them in flight at any time: each answer sends the next one. */

struct run {
    zhandle_t *session;
    char path[128], prefix[160];
    int creates;
    /* Used by the session's completion thread alone. */
    long to_send, in_flight;
    struct values latencies;
    sem_t done;
};

struct slot {
    struct run *run;
    int64_t start;
};

static void send_next(struct slot *slot);

static void answered(struct slot *slot, int code) {
    struct run *run = slot->run;
    if (code != ZOK) fail("an asynchronous request", code);
    add_value(&run->latencies, now() - slot->start);
    if (run->to_send > 0) {
        run->to_send--;
        send_next(slot);
    } else if (--run->in_flight == 0) {
        sem_post(&run->done);
    }
}

static void read_done(int code, const char *value, int length, const struct Stat *stat, const void *slot) {
    (void)value, (void)length, (void)stat;
    answered((struct slot *)slot, code);
}

static void delete_done(int code, const void *slot) { answered((struct slot *)slot, code); }

static void create_done(int code, const char *path, const void *slot) {
    if (code != ZOK) fail("zoo_acreate", code);
    CHECK(zoo_adelete(((struct slot *)slot)->run->session, path, -1, delete_done, slot));
}

static void send_next(struct slot *slot) {
    struct run *run = slot->run;
    slot->start = now();
    if (run->creates)
        CHECK(zoo_acreate(run->session, run->prefix, "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL_SEQUENTIAL, create_done, slot));
    else
        CHECK(zoo_aget(run->session, run->path, 0, read_done, slot));
}

static void send_all(struct run *run, struct slot *slots, long depth, long count) {
    run->latencies.count = 0;
    run->to_send = count - depth;
    run->in_flight = depth;
    /* The completion thread may answer before all slots are in use; the counts are complete from the start. */
    for (long i = 0; i < depth; i++) send_next(&slots[i]);
    wait_for(&run->done);
}

void requests(const char *line, long depth, long count) {
    struct run run = {.session = connect_session(session_ms), .creates = strcmp(line, "get")};
    if (!count) count = depth == 1 ? 5000 : 20000;
    count = count / depth * depth;
    sem_init(&run.done, 0, 0);
    run.latencies = make_values(count);
    make_path(run.path, sizeof run.path, line);
    snprintf(run.prefix, sizeof run.prefix, "%s/n-", run.path);
    make_node(run.session, run.path);
    struct slot *slots = calloc((size_t)depth, sizeof *slots);
    for (long i = 0; i < depth; i++) slots[i].run = &run;
    send_all(&run, slots, depth, at_least(depth, count / 4));
    long before = packets();
    int64_t start = now();
    send_all(&run, slots, depth, count);
    double seconds = (now() - start) / 1e9;
    long sent = packets_since(before);
    printf(", \"depth\": %ld, \"n\": %ld, \"ops_s\": %.3f", depth, count, count / seconds);
    report_latencies("", &run.latencies);
    printf(", \"req_per_op\": %.3f", (double)sent / count);
}

/* The resident memory in bytes and the threads of this process. */
static void read_status(long *resident, long *threads) {
    char line[256];
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "VmRSS: %ld", resident) == 1) *resident *= 1024;
        sscanf(line, "Threads: %ld", threads);
    }
    if (file) fclose(file);
}

void memory(int clients) {
    long resident = 0, threads = 0, resident_after = 0, threads_after = 0;
    struct Stat stat;
    zhandle_t **sessions = calloc((size_t)clients, sizeof *sessions);
    connect_session(30000);
    read_status(&resident, &threads);
    connect_sessions(sessions, clients);
    for (int i = 0; i < clients; i++) CHECK(zoo_exists(sessions[i], "/", 0, &stat));
    nap(500000000);
    read_status(&resident_after, &threads_after);
    printf(", \"clients\": %d, \"bytes_client\": %ld, \"threads_client\": %.3f, \"base_bytes\": %ld", clients,
           (resident_after - resident) / clients, (double)(threads_after - threads) / clients, resident);
}
