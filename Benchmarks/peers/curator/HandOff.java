import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;

/** Contenders that pass a mutex on to one another. The mutex guards all fields but those of a concurrent kind. */
final class HandOff {
    private final int count;
    private final AtomicInteger holders = new AtomicInteger();
    private volatile int last = -1, repeated, violations, measured;
    private volatile long released;
    private final long[] latencies;
    private final int[] counts;
    private int[] countsAtFirstEnd;

    private HandOff(int contenders, int count) {
        this.count = count;
        latencies = new long[contenders * count];
        counts = new int[contenders];
    }

    static void run(int contenders, int count, List<String> arguments) throws Exception {
        boolean isOneObject = arguments.contains("object");
        int sessions = isOneObject || arguments.contains("shared") ? 1 : contenders;
        CuratorFramework[] clients = Bench.clients(sessions);
        String path = Bench.freshPath("handoff");
        InterProcessMutex[] mutexes = new InterProcessMutex[contenders];
        for (int i = 0; i < contenders; i++)
            mutexes[i] = isOneObject && i > 0 ? mutexes[0] : new InterProcessMutex(clients[i % sessions], path);
        int warmUp = Math.max(2, 200 / contenders);
        new HandOff(contenders, warmUp).take(mutexes);
        HandOff turns = new HandOff(contenders, count);
        long before = Bench.packets(), start = System.nanoTime();
        turns.take(mutexes);
        double seconds = (System.nanoTime() - start) / 1e9, total = (double) contenders * count;
        long sent = Bench.packetsSince(before);
        long[] latencies = Arrays.copyOf(turns.latencies, turns.measured);
        new Bench.Report("handoff").add("sessions", sessions).add("p", contenders).add("n", count)
            .add("ops_s", total / seconds).latencies("", latencies).distribution(latencies)
            .add("fairness_max", Arrays.stream(turns.countsAtFirstEnd).max().getAsInt())
            .add("fairness_min", Arrays.stream(turns.countsAtFirstEnd).min().getAsInt())
            .add("self_handoffs", turns.repeated).add("violations", turns.violations)
            .add("req_per_op", sent / total).print();
    }

    private void take(InterProcessMutex[] mutexes) throws Exception {
        Bench.inThreads(mutexes.length, number -> {
            for (int i = 0; i < count; i++) {
                mutexes[number].acquire();
                turn(number, System.nanoTime());
                mutexes[number].release();
            }
        });
    }

    private void turn(int number, long held) {
        if (holders.incrementAndGet() != 1) violations++;
        if (last == number) repeated++;
        else if (last >= 0) latencies[measured++] = held - released;
        last = number;
        if (++counts[number] == count && countsAtFirstEnd == null) countsAtFirstEnd = counts.clone();
        holders.decrementAndGet();
        released = System.nanoTime();
    }
}
