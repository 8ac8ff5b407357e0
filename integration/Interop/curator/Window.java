import java.nio.charset.StandardCharsets;
import java.util.concurrent.CountDownLatch;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Watcher;

/** An operator of exclusive mode: the signal tells processors to leave, the write lock waits until they have left. */
final class Window {
    static Grant open(CuratorFramework client, String base, String owner) throws Exception {
        String signal = base + "/signal";
        while (!create(client, signal, owner)) awaitEnd(client, signal);
        InterProcessReadWriteLock lock = new InterProcessReadWriteLock(client, base + "/locks");
        lock.writeLock().acquire();
        return new Grant(Grant.created(client, Grant.path(lock.writeLock())), true) {
            void release() throws Exception {
                lock.writeLock().release();
                client.delete().forPath(signal);
            }
        };
    }

    /** False when another window is open. */
    private static boolean create(CuratorFramework client, String signal, String owner) throws Exception {
        try {
            client.create().creatingParentContainersIfNeeded().withMode(CreateMode.EPHEMERAL)
                .forPath(signal, ("owner=" + owner + "\nreason=JVM\n").getBytes(StandardCharsets.UTF_8));
            return true;
        } catch (KeeperException.NodeExistsException other) {
            return false;
        }
    }

    private static void awaitEnd(CuratorFramework client, String signal) throws Exception {
        CountDownLatch changed = new CountDownLatch(1);
        Watcher watcher = event -> changed.countDown();
        if (client.checkExists().usingWatcher(watcher).forPath(signal) != null) changed.await();
    }
}
