/* The lines of zkbench with nothing but the C client: no recipe code, no retries. It is the limit of what a library on top
 * of it can reach. ../../README.md explains the keys of the results. */
#pragma once
#define THREADED
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zookeeper/zookeeper.h>

#define CHECK(call) do { int code_ = (call); if (code_ != ZOK) fail(#call, code_); } while (0)

_Noreturn void fail(const char *what, int code);
int64_t now(void);
void nap(int64_t nanoseconds);
void wait_for(sem_t *semaphore);
long at_least(long value, long minimum);

/* Sessions. */
extern int session_ms;
zhandle_t *connect_session(int timeout_ms);
void connect_sessions(zhandle_t **sessions, int count);
void make_path(char *path, size_t size, const char *what);
void make_node(zhandle_t *session, const char *path);
long packets(void);
long packets_since(long before);

/* Results. */
struct values {
    int64_t *list;
    long count;
};
struct values make_values(long capacity);
void add_value(struct values *values, int64_t value);
int64_t median(struct values *values);
void report_latencies(const char *prefix, struct values *values);
void report_distribution(struct values *values);

/* Locks: 'm' is a mutex, 'r' and 'w' are the two sides of a read-write lock. */
struct lock {
    zhandle_t *session;
    const char *path;
    char kind;
    char own[256];
    sem_t woken;
};
void make_lock(struct lock *lock, zhandle_t *session, const char *path, char kind);
void acquire(struct lock *lock);
void release(struct lock *lock);

/* A cache of one znode, which calls back with the version (-1: the znode does not exist). */
struct cache {
    zhandle_t *session;
    const char *path;
    void (*changed)(struct cache *cache, int version);
};
void start_cache(struct cache *cache);

/* Lines. */
void requests(const char *line, long depth, long count);
void memory(int clients);
void uncontended(const char *line, long count, int pipelined);
void handoff(int contenders, long count, int shared);
void caches(const char *line, int count_of_caches, int sessions, long count, long warm_up);
void exclusive(int processors, long rounds, const char *pace);
void exclusive_naive(int processors, int seconds);
