import java.nio.charset.StandardCharsets;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.cache.ChildData;
import org.apache.curator.framework.recipes.cache.NodeCache;
import org.apache.zookeeper.CreateMode;

/** A cache of one znode; what it has seen can be waited for. */
final class Cache implements CuratorPeer.Ticket {
    private final NodeCache cache;

    Cache(CuratorFramework client, String path) throws Exception {
        cache = new NodeCache(client, path);
        cache.getListenable().addListener(() -> {
            synchronized (this) { notifyAll(); }
        });
        cache.start(true);
    }

    /** Waits until the znode's data are those asked for, "-" for no znode; tells them. */
    public synchronized String tell(String[] question) throws Exception {
        while (!question[3].equals(content())) wait();
        return content();
    }

    private String content() {
        ChildData data = cache.getCurrentData();
        return data == null ? "-" : new String(data.getData(), StandardCharsets.UTF_8);
    }

    public void give() throws Exception { cache.close(); }

    /** Writes a znode; one that is missing is created, and goes with the session. */
    static void put(CuratorFramework client, String path, String data) throws Exception {
        client.create().orSetData().creatingParentContainersIfNeeded().withMode(CreateMode.EPHEMERAL)
            .forPath(path, data.getBytes(StandardCharsets.UTF_8));
    }
}
