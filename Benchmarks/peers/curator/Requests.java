import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLongArray;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.api.BackgroundCallback;
import org.apache.zookeeper.CreateMode;

/** Plain requests, a number of them in flight at any time, and the memory of clients. */
final class Requests {
    private final CuratorFramework client;
    private final String path;
    private final boolean creates;

    private Requests(CuratorFramework client, String path, boolean creates) {
        this.client = client;
        this.path = path;
        this.creates = creates;
    }

    static void run(String line, String[] arguments) throws Exception {
        int depth = Bench.number(arguments, 0);
        int count = arguments.length > 1 ? Bench.number(arguments, 1) : depth == 1 ? 5_000 : 20_000;
        count = count / depth * depth;
        CuratorFramework client = Bench.client(Bench.SESSION);
        Requests requests = new Requests(client, Bench.freshPath(line), !line.equals("get"));
        client.create().forPath(requests.path, "0123456789".getBytes());
        // The virtual machine compiles while it warms up.
        requests.send(depth, count);
        long before = Bench.packets(), start = System.nanoTime();
        long[] latencies = requests.send(depth, count);
        double seconds = (System.nanoTime() - start) / 1e9;
        long sent = Bench.packetsSince(before);
        new Bench.Report(line).add("depth", depth).add("n", count).add("ops_s", count / seconds)
            .latencies("", latencies).add("req_per_op", (double) sent / count).print();
    }

    private long[] send(int depth, int count) throws Exception {
        AtomicLongArray latencies = new AtomicLongArray(count);
        AtomicInteger started = new AtomicInteger(depth), ended = new AtomicInteger();
        CountDownLatch done = new CountDownLatch(1);
        for (int i = 0; i < depth; i++) next(count, latencies, started, ended, done);
        done.await();
        long[] values = new long[count];
        for (int i = 0; i < count; i++) values[i] = latencies.get(i);
        return values;
    }

    private void next(int count, AtomicLongArray latencies, AtomicInteger started, AtomicInteger ended, CountDownLatch done)
        throws Exception {
        long start = System.nanoTime();
        BackgroundCallback end = (client, event) -> {
            if (event.getResultCode() != 0) throw new IllegalStateException("code " + event.getResultCode());
            int number = ended.getAndIncrement();
            latencies.set(number, System.nanoTime() - start);
            if (number == count - 1) done.countDown();
            if (started.getAndIncrement() < count) next(count, latencies, started, ended, done);
        };
        if (!creates) {
            client.getData().inBackground(end).forPath(path);
            return;
        }
        BackgroundCallback created = (client, event) -> client.delete().inBackground(end).forPath(event.getName());
        client.create().withMode(CreateMode.EPHEMERAL_SEQUENTIAL).inBackground(created).forPath(path + "/n-", new byte[0]);
    }

    static void memory(int count) throws Exception {
        Bench.client(Bench.LONG_SESSION).checkExists().forPath("/");
        System.gc();
        long resident = status("VmRSS:") * 1024, threads = status("Threads:");
        CuratorFramework[] clients = Bench.clients(count);
        for (CuratorFramework client : clients) client.checkExists().forPath("/");
        Thread.sleep(500);
        new Bench.Report("memory").add("clients", count)
            .add("bytes_client", (status("VmRSS:") * 1024 - resident) / count)
            .add("threads_client", (double) (status("Threads:") - threads) / count).add("base_bytes", resident).print();
    }

    private static long status(String key) throws Exception {
        for (String line : Files.readAllLines(Path.of("/proc/self/status")))
            if (line.startsWith(key)) return Long.parseLong(line.split("\\s+")[1]);
        return 0;
    }
}
