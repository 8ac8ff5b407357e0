// The C client as Swift imports it. Everything here is called by ZooKeeperBridge alone.

#ifndef CZOOKEEPER_SHIM_H
#define CZOOKEEPER_SHIM_H

// Selects the multi-threaded client. It must stand here: Swift's importer does not see the package's C settings.
#define THREADED
#include <zookeeper/zookeeper.h>

#endif
