// A process that uses Apache Curator as it is told: one command a line on standard input, one answer a line.
//
//   java CuratorPeer CONNECTION SESSION_MS NAME
//
// ../README.md says what the commands, the answers and the evidence look like; all peers speak alike.
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.locks.Revoker;
import org.apache.curator.retry.ExponentialBackoffRetry;

public final class CuratorPeer {
    static String connection;
    static int sessionTimeout;
    static String name;
    private static final Map<String, Ticket> tickets = new ConcurrentHashMap<>();
    private static final Map<Integer, CuratorFramework> clients = new ConcurrentHashMap<>();

    /** Something that was taken and can be given back. */
    interface Ticket {
        void give() throws Exception;

        default void downgrade() throws Exception { throw new UnsupportedOperationException("downgrade"); }

        default void interrupt() throws Exception { throw new UnsupportedOperationException("interrupt"); }

        default String tell(String[] question) throws Exception { throw new UnsupportedOperationException("tell"); }
    }

    public static void main(String[] arguments) throws Exception {
        connection = arguments[0];
        sessionTimeout = Integer.parseInt(arguments[1]);
        name = arguments[2];
        client(0);
        say("0 ok " + version());
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = input.readLine()) != null; ) {
            String[] words = line.split(" ");
            // A thread for each command: what waits must not keep the next command waiting.
            new Thread(() -> answer(words)).start();
        }
        System.exit(0);
    }

    /** Curator's version, as its build noted it. */
    private static String version() throws IOException {
        String notes = "/META-INF/maven/org.apache.curator/curator-framework/pom.properties";
        try (InputStream input = CuratorFramework.class.getResourceAsStream(notes)) {
            Properties properties = new Properties();
            properties.load(input);
            return properties.getProperty("version");
        }
    }

    /** The client of a contender of this process: each has a session of its own. */
    static CuratorFramework client(int number) {
        return clients.computeIfAbsent(number, ignored -> {
            CuratorFramework client = CuratorFrameworkFactory.builder().connectString(connection)
                .sessionTimeoutMs(sessionTimeout).connectionTimeoutMs(sessionTimeout)
                .retryPolicy(new ExponentialBackoffRetry(100, 5)).build();
            client.start();
            try {
                if (client.blockUntilConnected(20, TimeUnit.SECONDS)) return client;
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
            throw new IllegalStateException("not connected");
        });
    }

    private static void answer(String[] words) {
        try {
            say((words[0] + " ok " + perform(words)).trim());
        } catch (Throwable error) {
            say(words[0] + " error " + String.valueOf(error).replace('\n', ' '));
        }
    }

    private static String perform(String[] words) throws Exception {
        switch (words[1]) {
            case "loop":
                return Loop.run(words[2], words[3], Integer.parseInt(words[4]), Integer.parseInt(words[5]));
            case "take": {
                Holding holding = new Holding(words[3], words[4], client(0), name, name + "/" + words[2]);
                tickets.put(words[2], holding);
                return Long.toString(holding.take());
            }
            case "enter": {
                Barrier barrier = new Barrier(
                    client(0), words[3], Integer.parseInt(words[4]), name + "/" + words[2]);
                tickets.put(words[2], barrier);
                barrier.enter();
                return "";
            }
            case "process": return keep(words[2], new Processor(client(0), words[3], name + "/" + words[2]));
            case "join": return keep(words[2], new Member(client(0), words[3], words[4], words[5]));
            case "cache": return keep(words[2], new Cache(client(0), words[3]));
            case "give": tickets.remove(words[2]).give(); return "";
            case "downgrade": tickets.get(words[2]).downgrade(); return "";
            case "interrupt": tickets.get(words[2]).interrupt(); return "";
            case "tell": return tickets.get(words[2]).tell(words);
            case "participants": return Elections.participants(client(0), words[2], words[3]);
            case "revoke":
                for (String child : client(0).getChildren().forPath(words[2])) {
                    Revoker.attemptRevoke(client(0), words[2] + "/" + child);
                }
                return "";
            case "put": Cache.put(client(0), words[2], words[3]); return "";
            case "remove": client(0).delete().forPath(words[2]); return "";
            default: throw new IllegalArgumentException("no such command");
        }
    }

    private static String keep(String key, Ticket ticket) {
        tickets.put(key, ticket);
        return "";
    }

    /** Tells what was done at this instant. */
    static void tell(String who, String deed) {
        // Time first: writing takes a while.
        long now = System.nanoTime();
        say("~ " + now + " " + who + " " + deed);
    }

    private static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }
}
