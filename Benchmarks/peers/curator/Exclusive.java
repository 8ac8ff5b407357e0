import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.zookeeper.CreateMode;

/** Processors that hold a read lock and watch a signal, and pause while an operator holds the write lock. */
final class Exclusive {
    private static volatile boolean isStopped, isRunning;
    private static final AtomicInteger violations = new AtomicInteger();

    private static final class Processor extends Thread {
        // Counters of neighbours are on other cache lines.
        long a, b, c, d, e, f, g;
        final AtomicLong events = new AtomicLong();
        volatile long resumedAt;
        private volatile boolean isPaused;
        private final InterProcessMutex lock;
        /** Between 256 events. With more than 50 processors, wake-ups every 1 ms would use all cores. */
        private final long sleep;

        Processor(CuratorFramework client, String base, long sleep) throws Exception {
            this.sleep = sleep;
            lock = new InterProcessReadWriteLock(client, base + "/lock").readLock();
            Caches.start("curatorcache", client, base + "/signal", version -> signalled(version >= 0));
        }

        private synchronized void signalled(boolean isPaused) {
            this.isPaused = isPaused;
            notifyAll();
        }

        private synchronized void awaitResumption() throws InterruptedException {
            while (isPaused && !isStopped) wait(100);
        }

        @Override public void run() {
            try {
                process();
            } catch (Exception exception) {
                exception.printStackTrace();
                Runtime.getRuntime().halt(1);
            }
        }

        private void process() throws Exception {
            lock.acquire();
            long count = 0;
            boolean isFirst = true;
            while (!isStopped) {
                if (isPaused) {
                    lock.release();
                    awaitResumption();
                    lock.acquire();
                    isFirst = true;
                    continue;
                }
                if (isRunning) violations.incrementAndGet();
                if (isFirst) {
                    resumedAt = System.nanoTime();
                    isFirst = false;
                }
                events.lazySet(++count);
                if (sleep > 0 && count % 256 == 0) Thread.sleep(sleep);
            }
            lock.release();
        }
    }

    private static long sum(Processor[] processors) {
        long sum = 0;
        for (Processor processor : processors) sum += processor.events.get();
        return sum;
    }

    static void run(int count, int rounds, String pace) throws Exception {
        String base = Bench.freshPath("exclusive"), signal = base + "/signal";
        CuratorFramework operator = Bench.client(Bench.LONG_SESSION);
        operator.create().creatingParentsIfNeeded().forPath(base + "/lock");
        CuratorFramework[] clients = Bench.clients(count);
        Processor[] processors = new Processor[count];
        long sleep = pace.equals("tight") ? 0 : Math.max(1, count / 50);
        for (int i = 0; i < count; i++) (processors[i] = new Processor(clients[i], base, sleep)).start();
        for (Processor processor : processors) while (processor.resumedAt == 0) Thread.sleep(1);
        InterProcessMutex lock = new InterProcessReadWriteLock(operator, base + "/lock").writeLock();
        Thread.sleep(500);
        long before = Bench.packets(), start = System.nanoTime(), events = sum(processors);
        Thread.sleep(3_000);
        events = sum(processors) - events;
        double seconds = (System.nanoTime() - start) / 1e9;
        long steady = Bench.packetsSince(before);
        long[] pauses = new long[rounds], resumes = new long[rounds];
        long[] pauseRequests = new long[rounds], resumeRequests = new long[rounds];
        for (int round = -Math.max(2, rounds / 4); round < rounds; round++) {
            before = Bench.packets();
            long requested = System.nanoTime();
            operator.create().withMode(CreateMode.EPHEMERAL).forPath(signal);
            lock.acquire();
            long opened = System.nanoTime();
            isRunning = true;
            Thread.sleep(100);
            isRunning = false;
            long between = Bench.packets();
            lock.release();
            long ended = System.nanoTime(), last = 0;
            operator.delete().forPath(signal);
            for (Processor processor : processors) {
                while (processor.resumedAt < ended) Thread.sleep(1);
                last = Math.max(last, processor.resumedAt);
            }
            Thread.sleep(100);
            long after = Bench.packets();
            if (round < 0) continue;
            pauses[round] = opened - requested;
            resumes[round] = last - ended;
            pauseRequests[round] = between - before - 1;
            resumeRequests[round] = after - between - 1;
        }
        isStopped = true;
        for (Processor processor : processors) processor.join();
        new Bench.Report("exclusive").add("c", count).add("pace", pace).add("rounds", rounds)
            .add("events_s", Math.round(events / seconds)).add("steady_req_s", steady / seconds)
            .latencies("pause_", pauses).latencies("resume_", resumes).add("req_pause", Bench.median(pauseRequests))
            .add("req_resume", Bench.median(resumeRequests)).add("violations", violations.get()).print();
    }

    /** Processors that acquire a read lock for every event. */
    static void naive(int count, int seconds) throws Exception {
        CuratorFramework[] clients = Bench.clients(count);
        String path = Bench.freshPath("naive");
        AtomicLong events = new AtomicLong();
        Thread processors = new Thread(() -> {
            try {
                Bench.inThreads(count, number -> {
                    InterProcessMutex lock = new InterProcessReadWriteLock(clients[number], path).readLock();
                    while (!isStopped) {
                        lock.acquire();
                        events.incrementAndGet();
                        lock.release();
                    }
                });
            } catch (Exception exception) {
                exception.printStackTrace();
                Runtime.getRuntime().halt(1);
            }
        });
        processors.start();
        Thread.sleep(1_500);
        long before = Bench.packets(), start = System.nanoTime(), first = events.get();
        Thread.sleep(seconds * 1_000L);
        long done = events.get() - first;
        double time = (System.nanoTime() - start) / 1e9;
        long sent = Bench.packetsSince(before);
        isStopped = true;
        processors.join();
        new Bench.Report("exclusive-naive").add("c", count).add("events_s", done / time).add("req_s", sent / time)
            .add("req_per_op", (double) sent / Math.max(1, done)).print();
    }
}
