import java.nio.charset.StandardCharsets;
import java.util.Arrays;
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

    /** Waits until the members that it knows are those asked for, with their data; GroupMember tells of no change. */
    public String tell(String[] question) throws InterruptedException {
        String wanted = String.join(" ", Arrays.copyOfRange(question, 3, question.length));
        while (!wanted.equals(members())) Thread.sleep(5);
        return wanted;
    }

    private String members() {
        return new TreeMap<>(member.getCurrentMembers()).entrySet().stream()
            .map(one -> one.getKey() + "=" + new String(one.getValue(), StandardCharsets.UTF_8))
            .collect(Collectors.joining(" "));
    }

    public void give() { member.close(); }
}
