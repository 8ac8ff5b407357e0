import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;

/** A member of a double barrier, for one round; its name is new in each round, like those of the other makers' members. */
final class Barrier implements CuratorPeer.Ticket {
    private final DistributedDoubleBarrier barrier;
    private final String path;
    private final String who;

    Barrier(CuratorFramework client, String path, int members, String who) {
        barrier = new DistributedDoubleBarrier(client, path, members);
        this.path = path;
        this.who = who;
    }

    void enter() throws Exception {
        CuratorPeer.tell(who, "entering " + path);
        barrier.enter();
        CuratorPeer.tell(who, "inside " + path);
    }

    public void give() throws Exception {
        CuratorPeer.tell(who, "leaving " + path);
        barrier.leave();
        CuratorPeer.tell(who, "outside " + path);
    }
}
