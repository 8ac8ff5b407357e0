import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.curator.framework.CuratorFramework;

/** Contenders that take and give back, over and over. */
final class Loop {
    static String run(String kind, String path, int contenders, int times) throws Exception {
        for (int number = 0; number < contenders; number++) CuratorPeer.client(number);
        ExecutorService threads = Executors.newFixedThreadPool(contenders);
        CyclicBarrier start = new CyclicBarrier(contenders);
        List<Future<?>> all = new ArrayList<>();
        for (int number = 0; number < contenders; number++) {
            int own = number;
            all.add(threads.submit(() -> {
                start.await();
                contend(kind, path, own, times);
                return null;
            }));
        }
        for (Future<?> one : all) one.get();
        threads.shutdown();
        return Integer.toString(contenders * times);
    }

    private static void contend(String kind, String path, int number, int times) throws Exception {
        String who = CuratorPeer.name + "." + number;
        Random random = new Random(number);
        if (!kind.equals("read-write")) {
            Grant.Contender contender = Grant.contender(kind, path, CuratorPeer.client(number), who);
            CuratorFramework working = kind.contains("semaphore") ? CuratorPeer.client(number) : null;
            for (int turn = 0; turn < times; turn++) turn(contender, who, working);
            contender.close();
            return;
        }
        Grant.Contender reader = Grant.contender("read", path, CuratorPeer.client(number), who);
        Grant.Contender writer = Grant.contender("write", path, CuratorPeer.client(number), who);
        for (int turn = 0; turn < times; turn++) turn(random.nextInt(3) == 0 ? writer : reader, who, null);
    }

    /** With a client, work takes a few round trips, so that those who may work together do. */
    private static void turn(Grant.Contender contender, String who, CuratorFramework client) throws Exception {
        Grant grant = contender.acquire();
        CuratorPeer.tell(who, "began " + grant.token + (grant.isWriter ? " write" : " read"));
        CuratorPeer.tell(who, "acted " + grant.token + " valid");
        if (client != null) {
            for (int request = 0; request < 5; request++) client.checkExists().forPath("/");
        }
        CuratorPeer.tell(who, "acted " + grant.token + " valid");
        CuratorPeer.tell(who, "ended " + grant.token);
        grant.release();
    }
}
