import Testing
import ZooKeeper

@testable import ZooKeeperRecipes

@Suite struct PartitionTextTests {
    @Test func `a node tells its weight, its capacity and whether it is cordoned`() {
        for node in [
            PartitionNode("web1"), PartitionNode("web1", weight: 0.1, capacity: 12),
            PartitionNode("web1", capacity: 0, isCordoned: true),
        ] {
            #expect(PartitionNode(name: "web1", data: node.bytes) == node)
        }
        let text = String(decoding: PartitionNode("web1", weight: 2, capacity: 7).bytes, as: UTF8.self)
        #expect(text == "weight=2.0\ncapacity=7\ncordoned=no\n")
    }

    @Test func `a node's description says who has cordoned it, and its znode only what it says itself`() {
        var node = PartitionNode("web1")
        #expect(node.takesPartitions && node.description == "web1")
        node.isCordonedByOperator = true
        #expect(!node.takesPartitions && node.description == "web1, cordoned by an operator")
        #expect(PartitionNode(name: "web1", data: node.bytes) == "web1")
        node.isCordoned = true
        #expect(node.description == "web1, cordoned, cordoned by an operator")
        #expect(PartitionPlan(partitions: ["a"], nodes: [node])["a"]?.rule == .noNode)
    }

    @Test func `what a member does not tell rightly is as usual`() {
        #expect(PartitionNode(name: "web1", data: []) == PartitionNode("web1"))
        #expect(PartitionNode(name: "web1", data: Array("weight=nan\ncapacity=x".utf8)) == PartitionNode("web1"))
        #expect(PartitionNode(name: "web1", data: Array("weight=-1\ncapacity=-1".utf8)).capacity == 0)
    }

    @Test func `a partition's znode says which nodes it prefers`() {
        let partition = Partition("a", preferred: ["web1", "web 2"])
        #expect(String(decoding: partition.nodeData, as: UTF8.self) == "preferred=web1,web 2\n")
        #expect(Partition(id: "a", data: partition.nodeData) == partition)
        #expect(Partition(id: "a", data: Array("preferred= web1 , web2 \n".utf8)).preferred == ["web1", "web2"])
        #expect(Partition(id: "a", data: []) == "a")
        #expect(Partition("a").nodeData.isEmpty)
    }

    @Test func `names that cannot be are told, with the reason`() {
        #expect(Partition("a").problem == nil)
        let long = String(repeating: "a", count: ZNodeName.maximumLength + 1)
        let impossible = ["", ".", "..", "a/b", "a\u{1f600}", "a\n", "\u{7f}", "\u{e000}", "a\u{600}/", long]
        for id in impossible + ["a-epoch", "a-requests", "\u{301}-epoch", "a\u{600}-requests"] {
            #expect(Partition(id).problem?.hasBytePrefix("partition id \"") == true)
        }
        #expect(PartitionNode("web1").problem == nil)
        for name in impossible + ["a,b", "a,\u{301}b"] {
            #expect(PartitionNode(name).problem?.hasBytePrefix("node name \"") == true)
        }
        let emoji = "a\u{1f600}"
        #expect(
            Partition(emoji).problem
                == "partition id \"\(emoji)\" has a character that no name may have (U+1f600) at position 1; replace it"
        )
        #expect(PartitionNode("a", weight: 0).problem != nil)
        #expect(PartitionNode("a", weight: .infinity).problem != nil)
        #expect(PartitionNode("a", capacity: -1).problem != nil)
    }
}
