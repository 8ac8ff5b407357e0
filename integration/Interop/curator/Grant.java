import java.lang.reflect.Method;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.framework.recipes.shared.SharedCount;

/** What a contender got; to be used by the thread that acquired it, as Curator wants it. */
abstract class Grant {
    /** The creation of the own znode: grows along the queue. */
    final long token;
    final boolean isWriter;

    Grant(long token, boolean isWriter) {
        this.token = token;
        this.isWriter = isWriter;
    }

    abstract void release() throws Exception;

    /** From here on others may read. */
    void downgrade() throws Exception { throw new UnsupportedOperationException("downgrade"); }

    /** One of those who contend, with a recipe's object of its own. */
    interface Contender {
        Grant acquire() throws Exception;

        default void close() throws Exception {}

        default void interrupt() { throw new UnsupportedOperationException("interrupt"); }
    }

    static Contender contender(String kind, String path, CuratorFramework client, String id) {
        String[] parts = kind.split(":");
        switch (parts[0]) {
            case "mutex": return () -> lock(client, new InterProcessMutex(client, path), true);
            case "read": return () -> lock(client, new InterProcessReadWriteLock(client, path).readLock(), false);
            case "write": return () -> write(client, path);
            case "semaphore":
                return semaphore(client, path, new InterProcessSemaphoreV2(client, path, Integer.parseInt(parts[1])));
            case "shared-semaphore": return sharedSemaphore(client, path, Integer.parseInt(parts[1]));
            case "selector": return new Elections.Selector(client, path, id);
            case "latch": return () -> latch(client, path, id);
            case "window": return () -> Window.open(client, path, id);
            default: throw new IllegalArgumentException("no such kind");
        }
    }

    private static Grant lock(CuratorFramework client, InterProcessMutex lock, boolean isWriter) throws Exception {
        lock.acquire();
        return new Grant(created(client, path(lock)), isWriter) {
            void release() throws Exception { lock.release(); }
        };
    }

    private static Grant write(CuratorFramework client, String path) throws Exception {
        InterProcessReadWriteLock lock = new InterProcessReadWriteLock(client, path);
        lock.writeLock().acquire();
        return new Grant(created(client, path(lock.writeLock())), true) {
            private InterProcessMutex held = lock.writeLock();

            void release() throws Exception { held.release(); }

            void downgrade() throws Exception {
                lock.readLock().acquire();
                lock.writeLock().release();
                held = lock.readLock();
            }
        };
    }

    /** The limit is what all agree on at the ensemble. */
    private static Contender sharedSemaphore(CuratorFramework client, String path, int limit) {
        SharedCount count = new SharedCount(client, path + "-limit", limit);
        try {
            count.start();
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
        return semaphore(client, path, new InterProcessSemaphoreV2(client, path, count));
    }

    private static Contender semaphore(CuratorFramework client, String path, InterProcessSemaphoreV2 semaphore) {
        return () -> {
            Lease lease = semaphore.acquire();
            return new Grant(created(client, path + "/leases/" + lease.getNodeName()), true) {
                void release() { semaphore.returnLease(lease); }
            };
        };
    }

    private static Grant latch(CuratorFramework client, String path, String id) throws Exception {
        LeaderLatch latch = new LeaderLatch(client, path, id);
        latch.start();
        latch.await();
        return new Grant(created(client, latch.getOurPath()), true) {
            void release() throws Exception { latch.close(); }
        };
    }

    /** The own znode of a lock that is held, which Curator tells subclasses only. */
    static String path(InterProcessMutex lock) throws Exception {
        Method method = InterProcessMutex.class.getDeclaredMethod("getLockPath");
        method.setAccessible(true);
        return (String) method.invoke(lock);
    }

    static long created(CuratorFramework client, String path) throws Exception {
        return client.checkExists().forPath(path).getCzxid();
    }
}
