import java.nio.charset.StandardCharsets;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.nodes.GroupMember;

/** A member of a group. */
final class Member implements CuratorPeer.Ticket {
    private final GroupMember member;

    Member(CuratorFramework client, String path, String id, String data) {
        member = new GroupMember(client, path, id, data.getBytes(StandardCharsets.UTF_8));
        member.start();
    }

    /** The members that it knows, by id, with their data. */
    public String tell(String[] question) {
        return new TreeMap<>(member.getCurrentMembers()).entrySet().stream()
            .map(one -> one.getKey() + "=" + new String(one.getValue(), StandardCharsets.UTF_8))
            .collect(Collectors.joining(" "));
    }

    public void give() { member.close(); }
}
