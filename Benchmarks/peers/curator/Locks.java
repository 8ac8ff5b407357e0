import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;

/** Acquires and releases a lock that nothing else uses. */
final class Locks {
    static void uncontended(String line, int count) throws Exception {
        CuratorFramework client = Bench.client(Bench.SESSION);
        String path = Bench.freshPath(line);
        InterProcessMutex lock = line.equals("mutex")
            ? new InterProcessMutex(client, path) : new InterProcessReadWriteLock(client, path).readLock();
        for (int i = 0; i < Math.max(50, Math.min(count / 2, 1_000)); i++) {
            lock.acquire();
            lock.release();
        }
        long[] both = new long[count], acquisitions = new long[count];
        long before = Bench.packets(), begun = System.nanoTime();
        for (int i = 0; i < count; i++) {
            long start = System.nanoTime();
            lock.acquire();
            acquisitions[i] = System.nanoTime() - start;
            lock.release();
            both[i] = System.nanoTime() - start;
        }
        double seconds = (System.nanoTime() - begun) / 1e9;
        long sent = Bench.packetsSince(before);
        new Bench.Report(line).add("n", count).add("ops_s", count / seconds).latencies("", both)
            .latencies("acquire_", acquisitions).add("req_per_op", (double) sent / count).print();
    }
}
