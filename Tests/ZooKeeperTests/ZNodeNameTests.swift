import Testing

@testable import ZooKeeper

/// Pairs of names that are equal strings in Swift, and two znodes.
private let twins = [
    ("caf\u{e9}", "cafe\u{301}"), ("\u{212a}", "K"), ("a\u{37e}b", "a;b"), ("\u{1fef}", "`"),
    ("\u{f900}", "\u{8c48}"), ("\u{ac00}", "\u{1100}\u{1161}"), ("q\u{307}\u{323}", "q\u{323}\u{307}"),
]

@Suite
struct ZNodeNameTests {
    @Test(arguments: twins)
    func `equal strings of different bytes are different names`(one: String, other: String) throws {
        #expect(one == other)
        #expect(ZNodeName(one) != ZNodeName(other))
        #expect(ZNodeName(one) == ZNodeName(one))
        #expect(ZNodeName(one) < ZNodeName(other) || ZNodeName(other) < ZNodeName(one))
        #expect(!one.hasBytes(of: other) && one.hasBytes(of: one))
        #expect(Set([ZNodeName(one), ZNodeName(other), ZNodeName(one)]).count == 2)
        #expect(try ZNodePath("/\(one)") != ZNodePath("/\(other)"))
        #expect(try Set([ZNodePath("/\(one)"), ZNodePath("/\(other)")]).count == 2)
    }

    @Test(arguments: twins)
    func `a dictionary of names holds both, and is read with plain strings`(one: String, other: String) {
        var counts: [ZNodeName: Int] = [:]
        counts[one] = 1
        counts[other, default: 5] += 1
        #expect(counts[one] == 1 && counts[other] == 6)
        #expect(counts.count == 2)
        counts[one] = nil
        #expect(counts[one] == nil && counts[other] == 6)
        let names = Set(names: [one, other])
        #expect(names.contains(one) && names.contains(other) && !names.contains("c"))
        #expect(["web1": 3] as [ZNodeName: Int] == ["web1": 3])
    }

    @Test func `the order is that of the bytes, for ASCII that of the strings`() {
        let names = ["b", "B", "a-1", "a", "a0", "\u{e9}", "e\u{301}", "\u{301}", "z"]
        let sorted = names.map { ZNodeName($0) }.sorted().strings
        let bytes = names.map { Array($0.utf8) }.sorted { $0.lexicographicallyPrecedes($1) }
        #expect(sorted.map { Array($0.utf8) } == bytes)
        #expect(names.sortedByBytes().map { Array($0.utf8) } == sorted.map { Array($0.utf8) })
        let ascii = (0x20..<0x7f).map { String(UnicodeScalar($0)) }.shuffled()
        #expect(ascii.sortedByBytes() == ascii.sorted())
    }

    @Test func `a prefix, a suffix and a part are found where Swift merges characters`() {
        #expect("/a/\u{301}b".hasBytePrefix("/a/") && !"/a/\u{301}b".hasPrefix("/a/"))
        #expect("x\u{600}/".hasByteSuffix("/") && !"x\u{600}/".hasSuffix("/"))
        #expect(!"cafe\u{301}".hasBytePrefix("caf\u{e9}"))
        #expect(!["cafe\u{301}"].containsBytes(of: "caf\u{e9}"))
    }

    @Test func `a wrapped property compares by bytes, and with it its type`() {
        struct Entry: Hashable {
            @ZNodeName var id: String
            var count = 0
        }
        #expect(Entry(id: "caf\u{e9}") != Entry(id: "cafe\u{301}"))
        #expect(Entry(id: "caf\u{e9}") == Entry(id: "caf\u{e9}"))
        #expect(Set([Entry(id: "caf\u{e9}"), Entry(id: "cafe\u{301}")]).count == 2)
    }

    @Test(arguments: ["a", "...", ".a", "a.b", "\u{301}a", "caf\u{e9}", "日本", "a b", "a,b", "a-epoch"])
    func `a name that a znode can have is taken as it is`(name: String) throws {
        #expect(try ZNodeName(validating: name).string.hasBytes(of: name))
    }

    @Test(arguments: [
        ("", "has no characters"), (".", "is \".\""), ("..", "is \"..\""), ("a/b", "a slash at position 1"),
        ("/", "a slash at position 0"), ("\u{e9}/\u{301}", "a slash at position 2"),
        ("a\nb", "a control character (0xa) at position 1"), ("\u{7f}", "a control character (0x7f) at position 0"),
        ("a\u{1f600}", "a character that no name may have (U+1f600) at position 1"),
        ("\u{e9}\u{e000}", "a character that no name may have (U+e000) at position 2"),
        (String(repeating: "\u{e9}", count: 2049), "has 4098 bytes; shorten it to at most 4096"),
    ])
    func `a name that no znode can have is refused with the rule and the remedy`(name: String, problem: String) {
        let error = zooKeeperError { _ = try ZNodeName(validating: name) }
        #expect(error?.code == .invalidPath)
        #expect(error?.message?.contains(problem) == true, "\(error?.message ?? "")")
        #expect(ZNodeName.refusal(of: name, as: "member id")?.hasPrefix("member id \"") == true)
        #expect((error?.description.utf8.count ?? 0) < 400)
        #expect(zooKeeperError { _ = try ZNodePath("/a").appending(name) }?.code == .invalidPath)
    }

    @Test func `the longest name is taken`() throws {
        _ = try ZNodeName(validating: String(repeating: "a", count: ZNodeName.maximumLength))
    }
}
