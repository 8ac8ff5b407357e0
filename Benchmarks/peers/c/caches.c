#include "bench.h"

static void read_znode(struct cache *cache);
static void await_creation(struct cache *cache);

static void watched(zhandle_t *session, int type, int state, const char *path, void *cache) {
    (void)session, (void)state, (void)path;
    if (type == ZOO_DELETED_EVENT) await_creation(cache);
    else if (type != ZOO_SESSION_EVENT) read_znode(cache);
}

static void existence(int code, const struct Stat *stat, const void *cache) {
    (void)stat;
    /* Created again before the watch was set. */
    if (code == ZOK) read_znode((struct cache *)cache);
}

static void content(int code, const char *value, int length, const struct Stat *stat, const void *cache) {
    (void)value, (void)length;
    if (code == ZOK) ((struct cache *)cache)->changed((struct cache *)cache, stat->version);
    else if (code == ZNONODE) await_creation((struct cache *)cache);
}

static void read_znode(struct cache *cache) {
    zoo_awget(cache->session, cache->path, watched, cache, content, cache);
}

static void await_creation(struct cache *cache) {
    cache->changed(cache, -1);
    zoo_awexists(cache->session, cache->path, watched, cache, existence, cache);
}

void start_cache(struct cache *cache) { read_znode(cache); }

/* Caches that see the writes of another session. */

struct sighting {
    struct cache cache;
    _Atomic int seen;
};

static _Atomic int expected, left;
static _Atomic int64_t last_seen;
static sem_t all_seen;

static void note(struct cache *cache, int version) {
    int64_t at = now();
    int earlier = atomic_exchange(&((struct sighting *)cache)->seen, version);
    if (earlier < expected && version >= expected && atomic_fetch_sub(&left, 1) == 1) {
        last_seen = at;
        sem_post(&all_seen);
    }
}

void caches(const char *line, int count_of_caches, int sessions, long count, long warm_up) {
    char path[128];
    struct Stat stat;
    zhandle_t *writer = connect_session(session_ms), **list = calloc((size_t)sessions, sizeof *list);
    struct sighting *all = calloc((size_t)count_of_caches, sizeof *all);
    connect_sessions(list, sessions);
    make_path(path, sizeof path, "cache");
    make_node(writer, path);
    sem_init(&all_seen, 0, 0);
    left = count_of_caches;
    for (int i = 0; i < count_of_caches; i++) {
        all[i].cache = (struct cache){list[i % sessions], path, note};
        all[i].seen = -1;
    }
    for (int i = 0; i < count_of_caches; i++) start_cache(&all[i].cache);
    wait_for(&all_seen);
    struct values latencies = make_values(count), writes = make_values(count);
    long before = 0;
    int64_t begun = 0;
    for (long turn = -warm_up; turn < count; turn++) {
        if (turn == 0) before = packets(), begun = now();
        left = count_of_caches;
        expected++;
        int64_t start = now();
        CHECK(zoo_set2(writer, path, "12345678", 8, -1, &stat));
        int64_t written = now();
        wait_for(&all_seen);
        if (turn < 0) continue;
        add_value(&latencies, last_seen - start);
        add_value(&writes, written - start);
    }
    double seconds = (now() - begun) / 1e9;
    long sent = packets_since(before);
    if (!strcmp(line, "nodecache-fan")) printf(", \"caches\": %d, \"sessions\": %d", count_of_caches, sessions);
    printf(", \"kind\": \"watch\", \"n\": %ld, \"ops_s\": %.3f", count, count / seconds);
    report_latencies("", &latencies);
    report_latencies("set_", &writes);
    printf(", \"req_per_op\": %.3f, \"missed\": 0", (double)sent / count);
}
