import Testing

@testable import ZooKeeper

@Suite
struct ZNodePathTests {
    @Test(arguments: [
        "/", "/a", "/a/b", "/...", "/.a", "/a.", "/a/..b", "/ü/日本", "/a b", "/\u{301}a", "/zookeeper/quota",
    ])
    func `a path that a znode can have is taken as it is`(text: String) throws {
        #expect(try ZNodePath(text).string == text)
        #expect(try ZNodePath(text).description == text)
    }

    @Test(arguments: [
        ("", "an empty path", 0),
        ("a", "no slash", 0),
        ("a/b", "no slash", 0),
        (" /a", "no slash", 0),
        ("//", "an empty part", 1),
        ("//a", "an empty part", 1),
        ("/a//b", "an empty part", 3),
        ("/a//", "an empty part", 3),
        ("/a/", "a trailing slash", 2),
        ("/ü/", "a trailing slash", 3),
        ("/.", "a part that is \".\"", 1),
        ("/./a", "a part that is \".\"", 1),
        ("/a/./b", "a part that is \".\"", 3),
        ("/..", "a part that is \"..\"", 1),
        ("/a/../b", "a part that is \"..\"", 3),
        ("/a/b/..", "a part that is \"..\"", 5),
        ("/a\0b", "a control character (0x0)", 2),
        ("/a\nb", "a control character (0xa)", 2),
        ("/a\r\nb", "a control character (0xd)", 2),
        ("/\u{1f}", "a control character (0x1f)", 1),
        ("/ü\u{7f}", "a control character (0x7f)", 3),
        ("/a\u{80}", "a character that no name may have (U+80)", 2),
        ("/ü\u{9f}", "a character that no name may have (U+9f)", 3),
        ("/a\u{e000}", "a character that no name may have (U+e000)", 2),
        ("/a\u{f8ff}", "a character that no name may have (U+f8ff)", 2),
        ("/a\u{fff0}", "a character that no name may have (U+fff0)", 2),
        ("/a\u{ffff}", "a character that no name may have (U+ffff)", 2),
        ("/a\u{10000}", "a character that no name may have (U+10000)", 2),
        ("/a/😀", "a character that no name may have (U+1f600)", 3),
    ])
    func `a path that no znode can have is refused with the position`(text: String, problem: String, position: Int) {
        let error = zooKeeperError { _ = try ZNodePath(text) }
        #expect(error?.code == .invalidPath)
        #expect(error?.path == text)
        #expect(error?.message?.contains(problem) == true, "\(error?.message ?? "")")
        #expect(error?.message?.hasSuffix(" at position \(position)") == true, "\(error?.message ?? "")")
    }

    @Test(arguments: ["/a\u{a0}", "/a\u{d7ff}", "/a\u{f900}", "/a\u{ffef}", "/a\u{2028}"])
    func `the neighbours of what the server refuses are taken`(text: String) throws {
        _ = try ZNodePath(text)
    }

    @Test(
        arguments: [
            ("/", "", nil), ("/a", "a", "/"), ("/a/b", "b", "/a"), ("/ü/日本", "日本", "/ü"), ("/a/b c", "b c", "/a"),
            ("/a/\u{301}b", "\u{301}b", "/a"), ("/\u{301}", "\u{301}", "/"),
        ] as [(String, String, String?)])
    func `a path has a name and a parent`(text: String, name: String, parent: String?) throws {
        let path = try ZNodePath(text)
        #expect(Array(path.name.utf8) == Array(name.utf8))
        #expect(path.parent?.string == parent)
    }

    @Test(arguments: ["/", "/a", "/ü/b"])
    func `appending gives a child`(text: String) throws {
        let path = try ZNodePath(text)
        let child = try path.appending("näme")
        #expect(child.name == "näme")
        #expect(child.parent == path)
    }

    @Test(arguments: ["", "a/b", "/", "/a", ".", "..", "a\0", "\u{7f}"])
    func `a name that cannot be is not appended`(name: String) throws {
        let path = try ZNodePath("/a")
        #expect(zooKeeperError { _ = try path.appending(name) }?.code == .invalidPath)
    }

    @Test func `paths are equal when their bytes are, as for the server`() throws {
        let composed = try ZNodePath("/\u{e9}")
        let decomposed = try ZNodePath("/e\u{301}")
        #expect(composed.string == decomposed.string)
        #expect(composed != decomposed)
        #expect(Set([composed, decomposed, composed]).count == 2)
    }
}
