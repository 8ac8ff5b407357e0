import java.util.Collection;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.SynchronousQueue;
import java.util.stream.Collectors;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.leader.Participant;

/** Leader selectors, and who takes part in an election. */
final class Elections {
    /** The participants' ids in their order, as Curator sees them; the leader's with a star. */
    static String participants(CuratorFramework client, String kind, String path) throws Exception {
        Collection<Participant> all = kind.equals("latch")
            ? new LeaderLatch(client, path).getParticipants()
            : new LeaderSelector(client, path, new Ignoring()).getParticipants();
        return all.stream().map(one -> one.getId() + (one.isLeader() ? "*" : "")).collect(Collectors.joining(" "));
    }

    private static final class Ignoring extends LeaderSelectorListenerAdapter {
        public void takeLeadership(CuratorFramework client) {}
    }

    /** A selector whose term is a grant: it leads until the grant is released, or it is interrupted. */
    static final class Selector extends LeaderSelectorListenerAdapter implements Grant.Contender {
        private final CuratorFramework client;
        private final String path;
        private final LeaderSelector selector;
        private final SynchronousQueue<CountDownLatch> terms = new SynchronousQueue<>();
        private boolean isStarted;

        Selector(CuratorFramework client, String path, String id) {
            this.client = client;
            this.path = path;
            selector = new LeaderSelector(client, path, this);
            selector.setId(id);
        }

        public Grant acquire() throws Exception {
            if (isStarted) {
                // The last term's task may not have ended yet.
                while (!selector.requeue()) Thread.onSpinWait();
            } else {
                selector.start();
                isStarted = true;
            }
            CountDownLatch term = terms.take();
            return new Grant(token(), true) {
                void release() { term.countDown(); }
            };
        }

        public void takeLeadership(CuratorFramework client) throws Exception {
            CountDownLatch term = new CountDownLatch(1);
            terms.put(term);
            term.await();
        }

        public void interrupt() { selector.interruptLeadership(); }

        public void close() { selector.close(); }

        /** The leader's znode is the first one; Curator keeps its own path to itself. */
        private long token() throws Exception {
            List<String> children = client.getChildren().forPath(path);
            String first = children.stream()
                .min((left, right) -> number(left).compareTo(number(right))).orElseThrow();
            return Grant.created(client, path + "/" + first);
        }

        private static String number(String child) { return child.substring(child.lastIndexOf("lock-")); }
    }
}
