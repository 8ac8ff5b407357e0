import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import org.apache.curator.framework.CuratorFramework;

/** A grant that is kept until it is told to be given back, on a thread of its own. */
final class Holding implements CuratorPeer.Ticket {
    private interface Step {
        void run() throws Exception;
    }

    private final String who;
    private final Grant.Contender contender;
    private final CompletableFuture<Long> taken = new CompletableFuture<>();
    private final LinkedBlockingQueue<Step> steps = new LinkedBlockingQueue<>();
    private Grant grant;
    private boolean isGiven;

    Holding(String kind, String path, CuratorFramework client, String id, String who) {
        this.who = who;
        contender = Grant.contender(kind, path, client, id);
        new Thread(this::hold).start();
    }

    long take() throws Exception { return taken.get(); }

    private void hold() {
        try {
            grant = contender.acquire();
            CuratorPeer.tell(who, "began " + grant.token + (grant.isWriter ? " write" : " read"));
            CuratorPeer.tell(who, "acted " + grant.token + " valid");
            taken.complete(grant.token);
            while (!isGiven) steps.take().run();
        } catch (Throwable error) {
            taken.completeExceptionally(error);
        }
    }

    public void give() throws Exception {
        perform(() -> {
            CuratorPeer.tell(who, "acted " + grant.token + " valid");
            CuratorPeer.tell(who, "ended " + grant.token);
            grant.release();
            contender.close();
            isGiven = true;
        });
    }

    public void downgrade() throws Exception {
        perform(() -> {
            CuratorPeer.tell(who, "acted " + grant.token + " valid");
            CuratorPeer.tell(who, "downgraded " + grant.token);
            grant.downgrade();
        });
    }

    public void interrupt() { contender.interrupt(); }

    /** The thread that acquired must release. */
    private void perform(Step step) throws Exception {
        CompletableFuture<Void> done = new CompletableFuture<>();
        steps.add(() -> {
            try {
                step.run();
                done.complete(null);
            } catch (Throwable error) {
                done.completeExceptionally(error);
            }
        });
        done.get();
    }
}
