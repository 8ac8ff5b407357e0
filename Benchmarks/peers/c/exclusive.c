#include "bench.h"

/* Processors hold a read lock and watch a signal; an operator creates the signal and acquires the write lock. */

struct processor {
    struct cache signal;
    struct lock lock;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t resumed;
    _Atomic int is_paused;
    _Atomic int64_t events, resumed_at;
    char padding[128];
};

static _Atomic int is_stopped, is_running, violations;
static int is_tight;
/* Between 256 events. With more than 50 processors, wake-ups every 1 ms would use all cores. */
static int64_t sleep_time;

static void signal_changed(struct cache *cache, int version) {
    struct processor *processor = (struct processor *)cache;
    pthread_mutex_lock(&processor->mutex);
    processor->is_paused = version >= 0;
    pthread_cond_broadcast(&processor->resumed);
    pthread_mutex_unlock(&processor->mutex);
}

static void pause_until_resumed(struct processor *processor) {
    release(&processor->lock);
    pthread_mutex_lock(&processor->mutex);
    while (processor->is_paused && !is_stopped) pthread_cond_wait(&processor->resumed, &processor->mutex);
    pthread_mutex_unlock(&processor->mutex);
    acquire(&processor->lock);
}

static void *process(void *argument) {
    struct processor *processor = argument;
    int64_t events = 0;
    int is_first = 1;
    acquire(&processor->lock);
    while (!atomic_load_explicit(&is_stopped, memory_order_relaxed)) {
        if (atomic_load_explicit(&processor->is_paused, memory_order_acquire)) {
            pause_until_resumed(processor);
            is_first = 1;
            continue;
        }
        if (atomic_load_explicit(&is_running, memory_order_relaxed)) violations++;
        if (is_first) {
            processor->resumed_at = now();
            is_first = 0;
        }
        atomic_store_explicit(&processor->events, ++events, memory_order_relaxed);
        if (!is_tight && events % 256 == 0) nap(sleep_time);
    }
    release(&processor->lock);
    return NULL;
}

static int64_t sum_of_events(struct processor *all, int count) {
    int64_t sum = 0;
    for (int i = 0; i < count; i++) sum += all[i].events;
    return sum;
}

static struct processor *make_processors(int count) {
    struct processor *all = calloc((size_t)count, sizeof *all);
    zhandle_t **sessions = calloc((size_t)count, sizeof *sessions);
    connect_sessions(sessions, count);
    for (int i = 0; i < count; i++) all[i].signal.session = sessions[i];
    free(sessions);
    return all;
}

void exclusive(int processors, long rounds, const char *pace) {
    char base[128], lock_path[160], signal_path[160];
    zhandle_t *session = connect_session((int)at_least(session_ms, 30000));
    struct lock write;
    is_tight = !strcmp(pace, "tight");
    sleep_time = at_least(1000000, 20000L * processors);
    make_path(base, sizeof base, "exclusive");
    make_node(session, base);
    snprintf(lock_path, sizeof lock_path, "%s/lock", base);
    snprintf(signal_path, sizeof signal_path, "%s/signal", base);
    make_node(session, lock_path);
    make_lock(&write, session, lock_path, 'w');
    struct processor *all = make_processors(processors);
    for (int i = 0; i < processors; i++) {
        all[i].signal = (struct cache){all[i].signal.session, signal_path, signal_changed};
        make_lock(&all[i].lock, all[i].signal.session, lock_path, 'r');
        pthread_mutex_init(&all[i].mutex, NULL);
        pthread_cond_init(&all[i].resumed, NULL);
        start_cache(&all[i].signal);
        pthread_create(&all[i].thread, NULL, process, &all[i]);
    }
    for (int i = 0; i < processors; i++)
        while (!all[i].resumed_at) nap(1000000);
    nap(500000000);
    long before = packets();
    int64_t start = now(), events = sum_of_events(all, processors);
    nap(3000000000LL);
    events = sum_of_events(all, processors) - events;
    double seconds = (now() - start) / 1e9;
    long steady = packets_since(before);
    struct values pauses = make_values(rounds), resumes = make_values(rounds), pause_requests = make_values(rounds),
                  resume_requests = make_values(rounds);
    for (long turn = -at_least(2, rounds / 4); turn < rounds; turn++) {
        before = packets();
        int64_t requested = now();
        CHECK(zoo_create(session, signal_path, "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, NULL, 0));
        acquire(&write);
        int64_t opened = now(), last = 0;
        is_running = 1;
        nap(100000000);
        is_running = 0;
        long between = packets();
        release(&write);
        int64_t ended = now();
        CHECK(zoo_delete(session, signal_path, -1));
        for (int i = 0; i < processors; i++) {
            while (all[i].resumed_at < ended) nap(1000000);
            if (all[i].resumed_at > last) last = all[i].resumed_at;
        }
        nap(100000000);
        long after = packets();
        if (turn < 0) continue;
        add_value(&pauses, opened - requested);
        add_value(&resumes, last - ended);
        add_value(&pause_requests, between - before - 1);
        add_value(&resume_requests, after - between - 1);
    }
    is_stopped = 1;
    for (int i = 0; i < processors; i++) pthread_join(all[i].thread, NULL);
    printf(", \"c\": %d, \"pace\": \"%s\", \"rounds\": %ld, \"events_s\": %.0f, \"steady_req_s\": %.3f", processors, pace,
           rounds, events / seconds, steady / seconds);
    report_latencies("pause_", &pauses);
    report_latencies("resume_", &resumes);
    printf(", \"req_pause\": %ld, \"req_resume\": %ld, \"violations\": %d", (long)median(&pause_requests),
           (long)median(&resume_requests), violations);
}

static void *lock_each_event(void *argument) {
    struct processor *processor = argument;
    while (!is_stopped) {
        acquire(&processor->lock);
        processor->events++;
        release(&processor->lock);
    }
    return NULL;
}

void exclusive_naive(int processors, int seconds) {
    char path[128];
    struct processor *all = make_processors(processors);
    make_path(path, sizeof path, "naive");
    make_node(all[0].signal.session, path);
    for (int i = 0; i < processors; i++) {
        make_lock(&all[i].lock, all[i].signal.session, path, 'r');
        pthread_create(&all[i].thread, NULL, lock_each_event, &all[i]);
    }
    nap(1500000000);
    long before = packets();
    int64_t start = now(), events = sum_of_events(all, processors);
    nap(seconds * 1000000000LL);
    events = sum_of_events(all, processors) - events;
    double time = (now() - start) / 1e9;
    long sent = packets_since(before);
    is_stopped = 1;
    for (int i = 0; i < processors; i++) pthread_join(all[i].thread, NULL);
    printf(", \"c\": %d, \"events_s\": %.3f, \"req_s\": %.3f, \"req_per_op\": %.3f", processors, events / time, sent / time,
           (double)sent / at_least(events, 1));
}
