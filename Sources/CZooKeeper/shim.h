// The C client as imported by Swift. Only ZooKeeperBridge calls these functions.

#ifndef CZOOKEEPER_SHIM_H
#define CZOOKEEPER_SHIM_H

// Selects the multi-threaded client. It must be defined here, because Swift's importer does not see the package's C
// settings.
#define THREADED
#include <zookeeper/zookeeper.h>

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#ifdef __linux__
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

// Creates a timer that a thread sleeps on; its clock includes suspended time. Negative if there is no free descriptor.
static inline int zkb_timer_create(void) { return timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC); }

// Sets the expiry of the timer to an instant of the clock, in nanoseconds; 0 disables it.
static inline void zkb_timer_set(int timer, int64_t nanoseconds) {
    struct itimerspec time = {{0, 0}, {nanoseconds / 1000000000, nanoseconds % 1000000000}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &time, NULL);
}

// Waits until the timer expires; a signal ends the wait as well.
static inline void zkb_timer_wait(int timer) {
    uint64_t expirations;
    ssize_t size = read(timer, &expirations, sizeof(expirations));
    (void)size;
}

// Names the calling thread, and blocks the process's signals in it, so that other threads handle them.
static inline void zkb_begin_thread(const char *name) {
    sigset_t blocked;
    sigfillset(&blocked);
    // Faults are not blocked, so that a crash is reported like any other.
    const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT, SIGSYS};
    for (unsigned i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) sigdelset(&blocked, faults[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, NULL);
    prctl(PR_SET_NAME, name);
}
#endif

// Returns 1 for an IPv4 or IPv6 address in digits.
static inline int zkb_is_ip_literal(const char *text) {
    unsigned char address[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1;
}

// The function that creates a handle for encrypted connections; its last text has the files for TLS.
typedef zhandle_t *(*zkb_init_ssl_fn)(const char *servers, const char *certificates, watcher_fn watcher, int timeout,
                                      const clientid_t *identity, void *context, int flags);

// Looks up the function at run time. A library that was built without OpenSSL does not have it: NULL.
static inline zkb_init_ssl_fn zkb_init_ssl(void) {
    void *program = dlopen(NULL, RTLD_LAZY);
    if (program == NULL) return NULL;
    zkb_init_ssl_fn function = (zkb_init_ssl_fn)(uintptr_t)dlsym(program, "zookeeper_init_ssl");
    dlclose(program);
    return function;
}

static inline int zkb_has_tls(void) { return zkb_init_ssl() != NULL; }

// Creates a handle and starts its two threads. They inherit the signal mask that is set here: other threads handle the
// process's signals. Only faults are not blocked, so that a crash on these threads is reported like any other. The
// password has 16 bytes, or is NULL for a new session. The certificates are NULL for a connection without encryption;
// otherwise zkb_has_tls() must be 1. On failure, the result is NULL and *error is set.
static inline zhandle_t *zkb_open(const char *servers, const char *certificates, watcher_fn watcher, int timeout,
                                  int64_t session, const char *password, void *context, log_callback_fn log,
                                  int *error) {
    clientid_t identity;
    memset(&identity, 0, sizeof(identity));
    identity.client_id = session;
    if (password != NULL) memcpy(identity.passwd, password, sizeof(identity.passwd));

    sigset_t blocked, before;
    sigfillset(&blocked);
    const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT, SIGSYS};
    for (unsigned i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) sigdelset(&blocked, faults[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    errno = 0;
    const clientid_t *resumed = password == NULL ? NULL : &identity;
    zhandle_t *handle;
    if (certificates == NULL) {
        handle = zookeeper_init2(servers, watcher, timeout, resumed, context, ZOO_NO_LOG_CLIENTENV, log);
    } else {
        handle = zkb_init_ssl()(servers, certificates, watcher, timeout, resumed, context, ZOO_NO_LOG_CLIENTENV);
    }
    *error = errno;
    // This function has no parameter for the log; a few lines may go to standard error before this call.
    if (handle != NULL && certificates != NULL) zoo_set_log_callback(handle, log);
    // By default, the library resolves the server list in every iteration of its loop.
    if (handle != NULL) zoo_set_servers_resolution_delay(handle, -1);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return handle;
}

// The handle that this thread is closing without ending its session.
static inline zhandle_t **zkb_kept(void) {
    static _Thread_local zhandle_t *kept;
    return &kept;
}

// Shuts the connection down when zookeeper_close is about to send the request that ends the session. The library
// announces this with a log line, on the closing thread, after both of the handle's threads have been joined, so that
// no other thread uses the socket. The request is then written to a connection that was shut down, and fails;
// zookeeper_close continues and frees the handle.
static inline void zkb_cut_before_farewell(const char *line) {
    zhandle_t *handle = *zkb_kept();
    if (handle == NULL || line == NULL || strstr(line, "@zookeeper_close@") == NULL) return;
    *zkb_kept() = NULL;
    int socket = -1, interest = 0;
    struct timeval wait;
    if (zookeeper_interest(handle, &socket, &interest, &wait) == ZOK && socket != -1) shutdown(socket, SHUT_RDWR);
}

// Closes a handle whose session another handle will resume. During the call, the library's log level must be INFO or
// higher. Returns 1 if the log line was written, as on every path through zookeeper_close. Returns 0 if it was not:
// then the connection was not shut down, and the server may have ended the session.
static inline int zkb_close_keeping_session(zhandle_t *handle) {
    zoo_set_log_callback(handle, zkb_cut_before_farewell);
    *zkb_kept() = handle;
    zookeeper_close(handle);
    int told = *zkb_kept() == NULL;
    *zkb_kept() = NULL;
    return told;
}

// The library declares a pointer to the completion where it expects the completion itself.
static inline int zkb_remove_watches(zhandle_t *handle, const char *path, ZooWatcherType kind,
                                     void_completion_t completion, const void *data) {
    return zoo_aremove_all_watches(handle, path, kind, 0, (void_completion_t *)(uintptr_t)completion, data);
}

// The library's log level, one for the whole process. The header that declares it cannot be included here.
extern ZooLogLevel logLevel;
static inline int zkb_log_level(void) { return logLevel; }

#endif
