import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.function.IntConsumer;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.cache.ChildData;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.CuratorCacheListener;

/** Caches of one znode that another session writes. */
final class Caches {
    static void one(int count, String kind) throws Exception {
        measure(new Bench.Report("nodecache").add("kind", kind), kind, 1, 1, count, Math.max(50, Math.min(count / 2, 500)));
    }

    static void fan(int caches, int count, List<String> arguments) throws Exception {
        String kind = arguments.contains("nodecache") ? "nodecache" : "curatorcache";
        int sessions = arguments.contains("shared") ? 1 : caches;
        Bench.Report report = new Bench.Report("nodecache-fan").add("kind", kind).add("caches", caches).add("sessions", sessions);
        measure(report, kind, caches, sessions, count, Math.max(5, count / 4));
    }

    /** Starts a cache that reports the versions of the znode; -1 is reported if it does not exist. */
    @SuppressWarnings("deprecation")
    static void start(String kind, CuratorFramework client, String path, IntConsumer version) throws Exception {
        if (kind.equals("nodecache")) {
            var cache = new org.apache.curator.framework.recipes.cache.NodeCache(client, path);
            cache.getListenable().addListener(() -> {
                ChildData data = cache.getCurrentData();
                version.accept(data == null ? -1 : data.getStat().getVersion());
            });
            cache.start();
            Bench.caches.add(cache);
            return;
        }
        CuratorCache cache = CuratorCache.build(client, path, CuratorCache.Options.SINGLE_NODE_CACHE);
        cache.listenable().addListener((type, before, after) ->
            version.accept(type == CuratorCacheListener.Type.NODE_DELETED ? -1 : after.getStat().getVersion()));
        cache.start();
        Bench.caches.add(cache);
    }

    /** The versions that the caches have seen. */
    private static final class Sightings {
        final Semaphore complete = new Semaphore(0);
        private final int[] seen;
        private int expected, left;
        private long last;

        Sightings(int caches) {
            seen = new int[caches];
            left = caches;
            Arrays.fill(seen, -1);
        }

        synchronized void expect(int version) {
            expected = version;
            left = seen.length;
            complete.drainPermits();
        }

        synchronized void note(int cache, int version) {
            long now = System.nanoTime();
            boolean isFirst = seen[cache] < expected && version >= expected;
            seen[cache] = version;
            if (!isFirst || --left > 0) return;
            last = now;
            complete.release();
        }

        synchronized long last() { return last; }
    }

    private static void measure(Bench.Report report, String kind, int caches, int sessions, int count, int warmUp)
        throws Exception {
        CuratorFramework writer = Bench.client(Bench.SESSION);
        CuratorFramework[] clients = Bench.clients(sessions);
        String path = Bench.freshPath("cache");
        writer.create().forPath(path, new byte[8]);
        Sightings sightings = new Sightings(caches);
        for (int i = 0; i < caches; i++) {
            int number = i;
            start(kind, clients[i % sessions], path, version -> sightings.note(number, version));
        }
        sightings.complete.tryAcquire(60, TimeUnit.SECONDS);
        long[] latencies = new long[count], writes = new long[count];
        long before = 0, begun = 0;
        int missed = 0;
        for (int turn = -warmUp; turn < count; turn++) {
            if (turn == 0) {
                before = Bench.packets();
                begun = System.nanoTime();
            }
            sightings.expect(turn + warmUp + 1);
            long start = System.nanoTime();
            writer.setData().forPath(path, Integer.toString(turn).getBytes());
            long written = System.nanoTime();
            boolean isComplete = sightings.complete.tryAcquire(10, TimeUnit.SECONDS);
            if (!isComplete) missed++;
            if (turn < 0) continue;
            latencies[turn] = isComplete ? sightings.last() - start : 10_000_000_000L;
            writes[turn] = written - start;
        }
        double seconds = (System.nanoTime() - begun) / 1e9;
        long sent = Bench.packetsSince(before);
        report.add("n", count).add("ops_s", count / seconds).latencies("", latencies).latencies("set_", writes)
            .add("req_per_op", (double) sent / count).add("missed", missed).print();
    }
}
