import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.cache.NodeCache;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.state.ConnectionState;

/**
 * A processor of exclusive mode: holds the read lock while no signal stands, and processes events only then.
 *
 * A read lock that is granted while a signal stands is given back at once: the cache tells, if late, and the window waits.
 */
final class Processor implements CuratorPeer.Ticket {
    private final String who;
    private final InterProcessMutex lock;
    private final NodeCache signal;
    private final CuratorFramework client;
    private final Object changed = new Object();
    private final Thread thread = new Thread(this::run);
    private volatile boolean mayProcess;
    private volatile boolean isConnected = true;
    private volatile boolean isStopping;
    private long processed;

    Processor(CuratorFramework client, String base, String who) throws Exception {
        this.client = client;
        this.who = who;
        lock = new InterProcessReadWriteLock(client, base + "/locks", who.getBytes()).readLock();
        signal = new NodeCache(client, base + "/signal");
        signal.getListenable().addListener(this::look);
        client.getConnectionStateListenable().addListener((ignored, state) -> {
            isConnected = state == ConnectionState.CONNECTED || state == ConnectionState.RECONNECTED;
            look();
        });
        signal.start(true);
        look();
        thread.start();
    }

    private void look() {
        synchronized (changed) {
            mayProcess = isConnected && signal.getCurrentData() == null;
            changed.notifyAll();
        }
    }

    private void run() {
        try {
            while (!isStopping) {
                synchronized (changed) {
                    while (!mayProcess && !isStopping) changed.wait();
                }
                if (isStopping) return;
                lock.acquire();
                try {
                    processWhileAllowed(Grant.created(client, Grant.path(lock)));
                } finally {
                    lock.release();
                }
            }
        } catch (Exception error) {
            CuratorPeer.tell(who, "failed " + error);
        }
    }

    private void processWhileAllowed(long token) throws InterruptedException {
        while (mayProcess && !isStopping) {
            long event = processed + 1;
            CuratorPeer.tell(who, "entered " + event + " " + token);
            CuratorPeer.tell(who, "worked " + event + " valid");
            Thread.yield();
            CuratorPeer.tell(who, "worked " + event + " valid");
            CuratorPeer.tell(who, "left " + event);
            synchronized (changed) {
                processed = event;
                changed.notifyAll();
            }
            // A few events a millisecond: evidence, not load.
            TimeUnit.MILLISECONDS.sleep(1);
        }
    }

    /** Waits until so many more events are processed; tells how many all are. */
    public String tell(String[] question) throws InterruptedException {
        synchronized (changed) {
            long goal = processed + Long.parseLong(question[3]);
            while (processed < goal) changed.wait();
            return Long.toString(processed);
        }
    }

    public void give() throws Exception {
        synchronized (changed) {
            isStopping = true;
            changed.notifyAll();
        }
        thread.join();
        signal.close();
    }
}
