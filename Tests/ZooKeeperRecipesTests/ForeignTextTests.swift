import Testing
import ZooKeeper

@testable import ZooKeeperRecipes

/// Text that others have written must not forge lines of a log, nor reach a terminal as it is.
@Suite struct ForeignTextTests {
    private static let hostile = "\u{1b}[31m\n2026-01-01T00:00:00+0000 critical: forged\u{202e}"

    private static var znode: ExistingZNode {
        let zxid = ZXID(rawValue: 1)
        return ExistingZNode(data: Array(hostile.utf8), stat: ZNodeStat(czxid: zxid, mzxid: zxid, pzxid: zxid))
    }

    private static var descriptions: [String] {
        [
            znode.description, "\(PersistentNodeState.occupied(znode))",
            "\(RecipeError(.duplicate, in: .group, path: "/a", occupant: znode))",
            "\(RecipeError(.notPaused, in: .exclusiveMode, path: "/a", participants: [hostile]))",
            "\(ZooKeeperError(.noNode, path: "/\(hostile)"))",
            "\(RecipeError(.unreadable, in: .lock, path: "/a", message: hostile))",
            "\(FencingError(.unreadable, target: hostile))",
        ]
    }

    @Test(arguments: descriptions)
    func `it is escaped in every error and state`(description: String) {
        #expect(description.contains("critical: forged"))
        #expect(!description.unicodeScalars.contains(where: EscapedText.isUnsafe))
        #expect(EscapedText.escaped(description) == description)
    }
}
