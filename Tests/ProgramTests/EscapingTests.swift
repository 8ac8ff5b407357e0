import CommandLineSupport
import Testing
import ZooKeeper

@testable import ZooKeeperRecipes
@testable import zkrecipes
@testable import zkrecipes_dev

/// What a terminal gets to see of text that anybody may have written.
@Suite struct EscapingTests {
    @Test(
        arguments: [
            ("plain text: caf\u{e9}, \u{65e5}\u{672c}, \u{1f600} \\ \"\"", nil), ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\u{1b}[31mred\u{1b}[0m", "\\u{1b}[31mred\\u{1b}[0m"), ("\u{0}\u{7}\u{7f}", "\\u{0}\\u{7}\\u{7f}"),
            ("\u{85}\u{9b}2J\u{9d}0;title\u{9c}", "\\u{85}\\u{9b}2J\\u{9d}0;title\\u{9c}"),
            ("a\u{202e}b\u{2066}c\u{200f}", "a\\u{202e}b\\u{2066}c\\u{200f}"),
            ("a\u{2028}b\u{2029}", "a\\u{2028}b\\u{2029}"), ("\u{feff}\u{200b}\u{ad}", "\\u{feff}\\u{200b}\\u{ad}"),
            ("\u{e000}\u{ffff}\u{e0041}", "\\u{e000}\\u{ffff}\\u{e0041}"), ("\r\n", "\\r\\n"),
            ("e\u{301}\n", "e\u{301}\\n"),
        ] as [(String, String?)])
    func `what a terminal obeys or hides is written out`(text: String, escaped: String?) {
        #expect(Array(Text.escaped(text).utf8) == Array((escaped ?? text).utf8))
        #expect(Text.escaped(Text.escaped(text)) == Text.escaped(text))
    }

    @Test func `a cell with line breaks is one line of its table`() {
        #expect(Text.table([["A", "B"], ["x\ny", "1"]]) == ["A      B", "x\\ny   1"])
    }

    /// A name, or a note, that would clear the screen, add a line, and turn the text around.
    private static let hostile = "a\u{1b}[2J\nroot: all is well\u{9b}2J\u{202e}"

    private func expectHarmless(_ lines: [String], holding name: String = "all is well") {
        #expect(lines.contains { $0.contains(name) })
        for line in lines { #expect(!line.unicodeScalars.contains(where: Text.isUnsafe), "\(line)") }
    }

    private static let status = ExclusiveStatus(
        window: .init(
            participantID: hostile, reason: hostile, requestedAt: Timestamp(millisecondsSince1970: 1000),
            token: FencingToken(rawValue: 1)),
        holds: [.init(participantID: hostile, reason: hostile, since: Timestamp(millisecondsSince1970: 1000))],
        crashedWindows: [
            .init(
                participantID: hostile, reason: hostile, requestedAt: Timestamp(millisecondsSince1970: 1000),
                token: FencingToken(rawValue: 1))
        ],
        processors: [.init(id: hostile, host: hostile, pid: 1, activity: .running)], recentWindows: [])

    @Test func `JSON has the same values with everything escaped`() throws {
        let json = StatusReport(base: "/b", status: Self.status).json
        expectHarmless([json])
        #expect(json.contains(#"a\u001b[2J\nroot: all is well\u009b2J\u202e"#))
        #expect(Text.json(["\u{1f600}\u{e0041}"]) == "[\"\u{1f600}\\udb40\\udc41\"]")
    }

    @Test func `a table of partitions stays one`() {
        let entry = PartitionStatus.Entry(partition: Self.hostile, owner: Self.hostile, reason: Self.hostile)
        let status = PartitionStatus(
            nodes: [PartitionNode(Self.hostile)], cordons: [ZNodeName(Self.hostile): Self.hostile], partitions: [entry])
        let lines = PartitionReport(status).lines
        expectHarmless(lines)
        #expect(lines.count == 5)
    }

    @Test func `a window that failed is told in one line`() {
        let line = WindowEntry.failed(Self.hostile).line
        expectHarmless([line])
        #expect(WindowEntry(line: line) == .failed(Text.escaped(Self.hostile)))
    }
}
