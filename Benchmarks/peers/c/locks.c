#include "bench.h"

static const char *number(const char *name) { return name + strlen(name) - 10; }

/* Returns the last child in front of the own one that excludes it, or NULL. */
static const char *predecessor(const struct lock *lock, const struct String_vector *children) {
    const char *last = NULL;
    for (int i = 0; i < children->count; i++) {
        const char *child = children->data[i];
        if (lock->kind == 'r' && child[0] != 'w') continue;
        if (strcmp(number(child), number(lock->own)) >= 0) continue;
        if (!last || strcmp(number(child), number(last)) > 0) last = child;
    }
    return last;
}

static void woken(zhandle_t *session, int type, int state, const char *path, void *lock) {
    (void)session, (void)state, (void)path;
    if (type != ZOO_SESSION_EVENT) sem_post(&((struct lock *)lock)->woken);
}

static void make_prefix(const struct lock *lock, char *prefix, size_t size) {
    snprintf(prefix, size, "%s/%c-", lock->path, lock->kind);
}

void make_lock(struct lock *lock, zhandle_t *session, const char *path, char kind) {
    lock->session = session;
    lock->path = path;
    lock->kind = kind;
    sem_init(&lock->woken, 0, 0);
}

void acquire(struct lock *lock) {
    char prefix[256], before[512], data[16];
    make_prefix(lock, prefix, sizeof prefix);
    CHECK(zoo_create(lock->session, prefix, "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL_SEQUENTIAL, lock->own, sizeof lock->own));
    while (1) {
        struct String_vector children;
        CHECK(zoo_get_children(lock->session, lock->path, 0, &children));
        const char *last = predecessor(lock, &children);
        if (last) snprintf(before, sizeof before, "%s/%s", lock->path, last);
        deallocate_String_vector(&children);
        if (!last) return;
        /* A read, because it leaves no watch if the znode no longer exists. */
        int length = sizeof data, code = zoo_wget(lock->session, before, woken, lock, data, &length, NULL);
        if (code == ZOK) wait_for(&lock->woken);
        else if (code != ZNONODE) fail("zoo_wget", code);
    }
}

void release(struct lock *lock) { CHECK(zoo_delete(lock->session, lock->own, -1)); }

/* Without contention. Pipelined: the creation and the listing are sent together, which is safe because the server answers
 * the requests of a session in their order, and the deletion is not waited for. */

struct attempt {
    struct lock lock;
    int is_free;
    sem_t listed;
};

static void created(int code, const char *path, const void *context) {
    struct attempt *attempt = (struct attempt *)context;
    if (code != ZOK) fail("zoo_acreate", code);
    snprintf(attempt->lock.own, sizeof attempt->lock.own, "%s", path);
}

static void listed(int code, const struct String_vector *children, const void *context) {
    struct attempt *attempt = (struct attempt *)context;
    attempt->is_free = code == ZOK && !predecessor(&attempt->lock, children);
    sem_post(&attempt->listed);
}

static void deleted(int code, const void *context) {
    (void)context;
    if (code != ZOK) fail("zoo_adelete", code);
}

static void acquire_pipelined(struct attempt *attempt) {
    char prefix[256];
    struct lock *lock = &attempt->lock;
    make_prefix(lock, prefix, sizeof prefix);
    CHECK(zoo_acreate(lock->session, prefix, "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL_SEQUENTIAL, created, attempt));
    CHECK(zoo_aget_children(lock->session, lock->path, 0, listed, attempt));
    wait_for(&attempt->listed);
    if (!attempt->is_free) fail("the lock is not free", ZSYSTEMERROR);
}

void uncontended(const char *line, long count, int pipelined) {
    char path[128];
    struct attempt attempt = {0};
    struct Stat stat;
    zhandle_t *session = connect_session(session_ms);
    make_path(path, sizeof path, line);
    make_node(session, path);
    make_lock(&attempt.lock, session, path, strcmp(line, "mutex") ? 'r' : 'm');
    sem_init(&attempt.listed, 0, 0);
    struct values both = make_values(count), acquisitions = make_values(count);
    long before = 0;
    int64_t begun = 0;
    for (long turn = -at_least(50, count / 2 < 500 ? count / 2 : 500); turn < count; turn++) {
        if (turn == 0) before = packets(), begun = now();
        int64_t start = now();
        if (pipelined) acquire_pipelined(&attempt);
        else acquire(&attempt.lock);
        int64_t held = now();
        if (pipelined) CHECK(zoo_adelete(session, attempt.lock.own, -1, deleted, NULL));
        else release(&attempt.lock);
        if (turn < 0) continue;
        add_value(&both, now() - start);
        add_value(&acquisitions, held - start);
    }
    /* Its answer follows that of the last deletion. */
    CHECK(zoo_exists(session, path, 0, &stat));
    double seconds = (now() - begun) / 1e9;
    long sent = packets_since(before) - 1;
    printf(", \"how\": \"%s\", \"n\": %ld, \"ops_s\": %.3f", pipelined ? "pipelined" : "sync", count, count / seconds);
    report_latencies("", &both);
    report_latencies("acquire_", &acquisitions);
    printf(", \"req_per_op\": %.3f", (double)sent / count);
}

/* Contenders that pass a mutex on. All but the barrier and the counts of the others is guarded by that mutex. */

static struct {
    int contenders, first_end;
    long count, warm_up;
    _Atomic int holders, violations;
    int last, repeated;
    int64_t released;
    long *counts, *at_first_end;
    struct values latencies;
    pthread_barrier_t barrier;
} turns;

struct contender {
    int number;
    struct lock lock;
    pthread_t thread;
};

static void take_turn(struct contender *contender, int measured) {
    acquire(&contender->lock);
    int64_t held = now();
    int number = contender->number;
    if (atomic_fetch_add(&turns.holders, 1)) turns.violations++;
    if (measured) {
        if (turns.last == number) turns.repeated++;
        else if (turns.last >= 0) add_value(&turns.latencies, held - turns.released);
        turns.last = number;
        if (++turns.counts[number] == turns.count && !turns.first_end) {
            turns.first_end = 1;
            memcpy(turns.at_first_end, turns.counts, sizeof(long) * (size_t)turns.contenders);
        }
    }
    turns.holders--;
    turns.released = now();
    release(&contender->lock);
}

static void *contend(void *argument) {
    for (long i = 0; i < turns.warm_up; i++) take_turn(argument, 0);
    pthread_barrier_wait(&turns.barrier);
    pthread_barrier_wait(&turns.barrier);
    for (long i = 0; i < turns.count; i++) take_turn(argument, 1);
    pthread_barrier_wait(&turns.barrier);
    return NULL;
}

void handoff(int contenders, long count, int shared) {
    char path[128];
    int sessions = shared ? 1 : contenders;
    zhandle_t **list = calloc((size_t)sessions, sizeof *list);
    struct contender *all = calloc((size_t)contenders, sizeof *all);
    connect_sessions(list, sessions);
    make_path(path, sizeof path, "handoff");
    make_node(list[0], path);
    turns.contenders = contenders;
    turns.count = count;
    turns.warm_up = at_least(2, 100 / contenders);
    turns.last = -1;
    turns.counts = calloc((size_t)contenders, sizeof(long));
    turns.at_first_end = calloc((size_t)contenders, sizeof(long));
    turns.latencies = make_values(contenders * count);
    pthread_barrier_init(&turns.barrier, NULL, (unsigned)contenders + 1);
    for (int i = 0; i < contenders; i++) {
        all[i].number = i;
        make_lock(&all[i].lock, list[i % sessions], path, 'm');
        pthread_create(&all[i].thread, NULL, contend, &all[i]);
    }
    pthread_barrier_wait(&turns.barrier);
    long before = packets();
    int64_t start = now();
    pthread_barrier_wait(&turns.barrier);
    pthread_barrier_wait(&turns.barrier);
    double seconds = (now() - start) / 1e9, total = (double)contenders * count;
    long sent = packets_since(before), least = turns.at_first_end[0], most = least;
    for (int i = 0; i < contenders; i++) {
        if (turns.at_first_end[i] < least) least = turns.at_first_end[i];
        if (turns.at_first_end[i] > most) most = turns.at_first_end[i];
    }
    printf(", \"sessions\": %d, \"p\": %d, \"n\": %ld, \"ops_s\": %.3f", sessions, contenders, count, total / seconds);
    report_latencies("", &turns.latencies);
    report_distribution(&turns.latencies);
    printf(", \"fairness_max\": %ld, \"fairness_min\": %ld, \"self_handoffs\": %d, \"violations\": %d, \"req_per_op\": %.3f",
           most, least, turns.repeated, turns.violations, sent / total);
}
