// What a ZooKeeper C library with TLS has in addition: this function. It records its arguments, and connects without TLS.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

typedef void *(*open_fn)(const char *, void *, int, const void *, void *, int, void *);

void *zookeeper_init_ssl(const char *servers, const char *certificates, void *watcher, int timeout,
                         const void *identity, void *context, int flags) {
    open_fn open_plain = (open_fn)dlsym(RTLD_DEFAULT, "zookeeper_init2");
    FILE *record = fopen(getenv("TLS_RECORD"), "a");
    if (open_plain == NULL || record == NULL) return NULL;
    fprintf(record, "%s\n%s\n%d\n", servers, certificates, timeout);
    fclose(record);
    return open_plain(servers, watcher, timeout, identity, context, flags, NULL);
}
