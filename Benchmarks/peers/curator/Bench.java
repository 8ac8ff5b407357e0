import java.io.Closeable;
import java.io.IOException;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.StringJoiner;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.retry.ExponentialBackoffRetry;

/** The lines of zkbench with Apache Curator: Bench CONNECT LINE [ARGUMENTS]; ../../README.md explains the keys. */
public final class Bench {
    static String connect;
    static final int SESSION = variable("SESSION_MS", 10_000);
    static final int LONG_SESSION = Math.max(SESSION, 30_000);
    static final int FAILOVER = variable("FAILOVER_MS", 2_000);

    private static int variable(String name, int otherwise) {
        String value = System.getenv(name);
        return value == null ? otherwise : Integer.parseInt(value);
    }

    public static void main(String[] words) throws Exception {
        if (words.length < 2) {
            System.err.println("usage: Bench CONNECT LINE [ARGUMENTS]");
            System.exit(64);
        }
        connect = words[0];
        String[] arguments = Arrays.copyOfRange(words, 2, words.length);
        switch (words[1]) {
            case "get", "create-delete" -> Requests.run(words[1], arguments);
            case "memory" -> Requests.memory(number(arguments, 0));
            case "mutex", "rwlock-read" -> Locks.uncontended(words[1], number(arguments, 0));
            case "handoff" -> HandOff.run(number(arguments, 0), number(arguments, 1), Arrays.asList(arguments));
            case "leader-failover" -> Failover.run(number(arguments, 0), word(arguments, 1, "selector"));
            case "candidate" -> Failover.candidate(arguments[0], arguments[1], arguments[2]);
            case "nodecache" -> Caches.one(number(arguments, 0), word(arguments, 1, "curatorcache"));
            case "nodecache-fan" -> Caches.fan(number(arguments, 0), number(arguments, 1), Arrays.asList(arguments));
            case "exclusive" -> Exclusive.run(number(arguments, 0), number(arguments, 1), word(arguments, 2, "paced"));
            case "exclusive-naive" -> Exclusive.naive(number(arguments, 0), number(arguments, 1));
            default -> {
                System.err.println("Bench: no line " + words[1]);
                System.exit(64);
            }
        }
        for (Closeable cache : caches) cache.close();
        inThreads(clients.size(), i -> clients.get(i).close());
        System.exit(0);
    }

    static int number(String[] arguments, int position) { return Integer.parseInt(arguments[position]); }

    static String word(String[] arguments, int position, String otherwise) {
        return position < arguments.length ? arguments[position] : otherwise;
    }

    // Sessions. All clients and caches are closed at the end of the program.

    private static final List<CuratorFramework> clients = Collections.synchronizedList(new ArrayList<>());
    static final List<Closeable> caches = Collections.synchronizedList(new ArrayList<>());

    private static CuratorFramework start(int timeout) {
        CuratorFramework client = CuratorFrameworkFactory.builder().connectString(connect).sessionTimeoutMs(timeout)
            .connectionTimeoutMs(Math.min(timeout, 8_000)).retryPolicy(new ExponentialBackoffRetry(100, 5)).build();
        client.start();
        clients.add(client);
        return client;
    }

    private static CuratorFramework connected(CuratorFramework client) throws Exception {
        if (!client.blockUntilConnected(60, TimeUnit.SECONDS)) throw new IOException("no connection to " + connect);
        return client;
    }

    static CuratorFramework client(int timeout) throws Exception { return connected(start(timeout)); }

    static CuratorFramework[] clients(int count) throws Exception {
        CuratorFramework[] clients = new CuratorFramework[count];
        for (int i = 0; i < count; i++) clients[i] = start(LONG_SESSION);
        for (CuratorFramework client : clients) connected(client);
        return clients;
    }

    static String freshPath(String what) { return "/curator-" + what + "-" + Long.toHexString(new Random().nextLong()); }

    /** The packets that the servers have received, with the one that asks. */
    static long packets() throws IOException {
        long sum = 0;
        for (String server : connect.split(",")) {
            String[] parts = server.split(":");
            try (Socket socket = new Socket(parts[0], Integer.parseInt(parts[1]))) {
                socket.getOutputStream().write("mntr".getBytes(StandardCharsets.US_ASCII));
                String answer = new String(socket.getInputStream().readAllBytes(), StandardCharsets.US_ASCII);
                for (String line : answer.split("\n"))
                    if (line.startsWith("zk_packets_received\t")) sum += (long) Double.parseDouble(line.split("\t")[1]);
            }
        }
        return sum;
    }

    static long packetsSince(long before) throws IOException { return packets() - before - connect.split(",").length; }

    // Threads

    interface Numbered { void run(int number) throws Exception; }

    /** Runs a body in a number of threads, and waits for all of them. */
    static void inThreads(int count, Numbered body) throws Exception {
        Thread[] threads = new Thread[count];
        AtomicReference<Exception> failure = new AtomicReference<>();
        for (int i = 0; i < count; i++) {
            int number = i;
            threads[i] = new Thread(() -> {
                try {
                    body.run(number);
                } catch (Exception exception) {
                    failure.compareAndSet(null, exception);
                }
            });
            threads[i].start();
        }
        for (Thread thread : threads) thread.join();
        if (failure.get() != null) throw failure.get();
    }

    // Results

    /** One result. */
    static final class Report {
        private static final double[] PERCENTILES = {0, 10, 25, 50, 75, 90, 95, 98, 99, 99.5, 99.9, 100};
        private final StringJoiner fields = new StringJoiner(", ", "{", "}");

        Report(String line) { add("peer", "curator").add("cmd", line); }

        Report add(String key, String value) { return put(key, "\"" + value + "\""); }
        Report add(String key, long value) { return put(key, Long.toString(value)); }
        Report add(String key, double value) { return put(key, Double.toString(Math.round(value * 1000) / 1000.0)); }

        Report latencies(String prefix, long[] values) {
            long[] sorted = sorted(values);
            return add(prefix + "p50_us", percentile(sorted, 50)).add(prefix + "p99_us", percentile(sorted, 99))
                .add(prefix + "max_us", percentile(sorted, 100));
        }

        Report distribution(long[] values) {
            long[] sorted = sorted(values);
            return put("percentiles_us", Arrays.toString(Arrays.stream(PERCENTILES).map(p -> percentile(sorted, p)).toArray()));
        }

        void print() { System.out.println(fields); }

        private Report put(String key, String value) {
            fields.add("\"" + key + "\": " + value);
            return this;
        }
    }

    static long[] sorted(long[] values) {
        long[] sorted = values.clone();
        Arrays.sort(sorted);
        return sorted;
    }

    /** In microseconds, of nanoseconds. */
    static double percentile(long[] sorted, double percent) {
        if (sorted.length == 0) return 0;
        return sorted[Math.min(sorted.length - 1, (int) (sorted.length * percent / 100))] / 1000.0;
    }

    static long median(long[] values) { return sorted(values)[values.length / 2]; }
}
