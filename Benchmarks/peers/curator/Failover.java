import java.io.BufferedReader;
import java.io.Closeable;
import java.io.IOException;
import java.io.InputStreamReader;
import java.util.HashMap;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderLatchListener;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;

/** Two candidates for leadership in two processes, of which one is killed or closed. */
final class Failover {
    static void run(int rounds, String kind) throws Exception {
        Random random = new Random();
        for (String how : new String[] {"kill", "close"}) {
            String path = Bench.freshPath("leader");
            long[] times = new long[rounds];
            CandidateProcess leader = new CandidateProcess(kind, path, "c0");
            leader.time("LEADER");
            for (int round = 0; round < rounds; round++) {
                CandidateProcess next = new CandidateProcess(kind, path, "c" + (round + 1));
                next.time("READY");
                Thread.sleep(300 + random.nextInt(700));
                long start = System.nanoTime();
                if (how.equals("kill")) leader.process.destroyForcibly();
                else start = leader.close();
                times[round] = next.time("LEADER") - start;
                leader.process.waitFor();
                leader = next;
            }
            leader.process.destroyForcibly();
            long[] sorted = Bench.sorted(times);
            new Bench.Report("leader-failover").add("kind", kind).add("how", how).add("session_ms", Bench.FAILOVER)
                .add("rounds", rounds).add("p50_ms", Bench.percentile(sorted, 50) / 1000)
                .add("min_ms", Bench.percentile(sorted, 0) / 1000).add("max_ms", Bench.percentile(sorted, 100) / 1000).print();
        }
    }

    private static final class CandidateProcess {
        final Process process;
        private final BufferedReader output;
        private final Map<String, Long> seen = new HashMap<>();

        CandidateProcess(String kind, String path, String id) throws IOException {
            process = new ProcessBuilder(ProcessHandle.current().info().command().orElse("java"), "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xmx128m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=off",
                "-cp", System.getProperty("java.class.path"), "Bench", Bench.connect, "candidate", kind, path, id)
                .redirectError(ProcessBuilder.Redirect.INHERIT).start();
            output = process.inputReader();
        }

        /** Waits for an event and returns its time; earlier events are kept. */
        long time(String event) throws IOException {
            while (!seen.containsKey(event)) {
                String line = output.readLine();
                if (line == null) throw new IOException("a candidate has ended before " + event);
                String[] words = line.split(" ");
                seen.put(words[0], Long.parseLong(words[1]));
            }
            return seen.get(event);
        }

        long close() throws IOException {
            process.outputWriter().write("close\n");
            process.outputWriter().flush();
            return time("CLOSING");
        }
    }

    /** Of the machine's monotonic clock, as everywhere here. */
    private static void say(String event) { System.out.println(event + " " + System.nanoTime()); }

    static void candidate(String kind, String path, String id) throws Exception {
        CuratorFramework client = Bench.client(Bench.FAILOVER);
        Closeable candidate = kind.equals("latch") ? latch(client, path, id) : selector(client, path, id);
        while (client.checkExists().forPath(path) == null) Thread.sleep(5);
        Thread.sleep(100);
        say("READY");
        new BufferedReader(new InputStreamReader(System.in)).readLine();
        say("CLOSING");
        candidate.close();
        client.close();
        say("CLOSED");
    }

    private static Closeable latch(CuratorFramework client, String path, String id) throws Exception {
        LeaderLatch latch = new LeaderLatch(client, path, id);
        latch.addListener(new LeaderLatchListener() {
            @Override public void isLeader() { say("LEADER"); }
            @Override public void notLeader() { }
        });
        latch.start();
        return latch;
    }

    private static Closeable selector(CuratorFramework client, String path, String id) {
        LeaderSelector selector = new LeaderSelector(client, path, new LeaderSelectorListenerAdapter() {
            @Override public void takeLeadership(CuratorFramework framework) throws Exception {
                say("LEADER");
                new CountDownLatch(1).await();
            }
        });
        selector.setId(id);
        selector.start();
        return selector;
    }
}
