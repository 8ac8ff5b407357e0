import Testing

@testable import ZooKeeper
@testable import ZooKeeperRecipes

@Suite struct KeyValueDataTests {
    /// Text that tries to end a value, a line or a field early, or to hide the sign between key and value.
    static let hostile = [
        "", " ", "=", "==a=b", "a\nb", "a\r\nb", "\r", "\n", "\\", "\\n", "\\\\n", "ends with \\", "a\tb",
        "\u{301}combines with what comes before", "\u{200D}", "\u{FE0F}", "ends with a prefix \u{0D4E}", "\0",
        "🧑‍🧑‍🧒", "id=forged\nowner=forged", "records=yes", "ü", "u\u{308}",
    ]

    @Test(arguments: hostile)
    func `every value comes back as it was`(value: String) {
        var text = KeyValueData()
        text["id"] = "window"
        text["owner"] = value
        text["reason"] = value + value
        text["last"] = "1"
        let read = KeyValueData(text.bytes)
        #expect(read.fields.map(\.key) == ["id", "owner", "reason", "last"])
        #expect(read["owner"].map { Array($0.utf8) } == Array(value.utf8))
        #expect(read["reason"].map { Array($0.utf8) } == Array((value + value).utf8))
        #expect(read["id"] == "window")
        #expect(read["last"] == "1")
    }

    @Test func `data of others is read as far as it goes`() {
        #expect(KeyValueData([]).fields.isEmpty)
        #expect(KeyValueData(Array("10.0.0.7".utf8)).fields.isEmpty)
        #expect(KeyValueData([0xff, 0xfe, 0x00, 0x0a, 0x80]).fields.isEmpty)
        #expect(KeyValueData(Array("no sign\n=no key\nowner=me".utf8))["owner"] == "me")
        #expect(KeyValueData(Array("owner=first\r\nreason=second\r\n".utf8))["reason"] != nil)
    }

    @Test(arguments: hostile)
    func `a signal's text comes back`(value: String) {
        let text = SignalRecord(id: "window", owner: value, reason: value, sessionTimeout: .milliseconds(1234))
        let read = SignalRecord(text.bytes)
        #expect(read == text)
        #expect(read.keepsRecords)
        #expect(read.sessionTimeout == .milliseconds(1234))
    }

    @Test func `a signal of others keeps no records`() {
        for data in ["", "10.0.0.7", "records=yes", "id=\nrecords=yes", "id=x", "id=x\nrecords=no"] {
            let text = SignalRecord(Array(data.utf8))
            #expect(!text.keepsRecords)
            #expect(text.owner == "unknown")
            #expect(text.sessionTimeout == nil)
        }
    }

    @Test(arguments: hostile)
    func `a processor's text comes back`(value: String) {
        var text = ProcessorRecord(member: "m-00000000", name: value, sessionTimeout: .seconds(4))
        #expect(ProcessorRecord(text.bytes, nodeName: "node") == text)
        (text.inside, text.oldest) = (7, .milliseconds(800))
        #expect(ProcessorRecord(text.bytes, nodeName: "node") == text)
        #expect(text.isDraining)
        text.state = .reopened
        #expect(ProcessorRecord(text.bytes, nodeName: "node") == text)
        #expect(!text.isDraining)
    }

    @Test func `a read lock of others is known by its znode's name`() {
        for data in ["", "10.0.0.7", "pid=many\ntimeout=long\ninside=x"] {
            let text = ProcessorRecord(Array(data.utf8), nodeName: "_c_x-__READ__0000000001")
            #expect(text.name == "_c_x-__READ__0000000001")
            #expect(text.sessionTimeout == nil)
            #expect(text.inside == nil)
            #expect(text.pid == 0)
        }
    }
}

@Suite struct WindowRecordTests {
    private func record(_ id: String, text: String = "text") -> WindowRecord {
        WindowRecord(
            id: id, token: FencingToken(rawValue: 1 << 40), participantID: text, reason: text,
            requestedAt: Timestamp(millisecondsSince1970: 1_700_000_000_123), drainDuration: .milliseconds(17),
            duration: .seconds(3),
            outcome: .completed, slowestProcessor: text, evicted: [text, "another"])
    }

    @Test func `a record comes back as it was`() {
        var other = record("two", text: "plain text = more")
        (other.drainDuration, other.slowestProcessor, other.evicted, other.outcome) = (nil, nil, [], .aborted)
        let records = [record("one"), other]
        #expect(WindowRecord.list(WindowRecord.bytes(records)) == records)
    }

    @Test(arguments: KeyValueDataTests.hostile)
    func `hostile text breaks neither its record nor the others`(text: String) {
        let records = [record("one"), record("two", text: text), record("three")]
        let read = WindowRecord.list(WindowRecord.bytes(records))
        #expect(read.map(\.id) == ["one", "two", "three"])
        #expect(read.allSatisfy { $0.evicted.count == 2 && $0.slowestProcessor != nil })
        #expect(read.last == records.last)
    }

    @Test func `text is kept short`() throws {
        let read = WindowRecord.list(WindowRecord.bytes([record("one", text: String(repeating: "x", count: 5000))]))
        #expect(try #require(read.first).reason.count == 300)
    }

    @Test func `the last twenty are kept`() {
        let records = (0..<25).map { record("\($0)") }
        #expect(WindowRecord.list(WindowRecord.bytes(records)).map(\.id) == (5..<25).map { "\($0)" })
    }

    @Test func `what cannot be read is left out`() {
        let good = WindowRecord.bytes([record("one")])
        for bad in ["\n", "id=x\n", "id=x\ttoken=1\toutcome=better\tended=1\n", "\u{301}\n", "10.0.0.7\n"] {
            #expect(WindowRecord.list(Array(bad.utf8) + good).map(\.id) == ["one"])
        }
        #expect(WindowRecord.list([0xff, 0x0a, 0xfe]).isEmpty)
    }
}

@Suite struct MemberNameTests {
    @Test(
        arguments: KeyValueDataTests.hostile + ["a/b", ".", "..", "zookeeper", "𝒳", "漢字", "a b", "\u{85}", "-", "x-"])
    func `any name gives a znode's name, and is told apart again`(name: String) throws {
        let member = MemberName(for: name, using: Randomness())
        _ = try ZNodePath("/members/\(member.node)")
        let read = try #require(MemberName(node: member.node))
        #expect(read == member)
        #expect(read.tag.utf8.count == 8)
    }

    @Test func `plain names stay as they are`() {
        for name in ["front-1", "host.example:8080", "Grüße", "漢字"] {
            #expect(MemberName(for: name, using: Randomness()).name == name)
        }
    }

    @Test func `a long name is kept short`() {
        #expect(MemberName(for: String(repeating: "x", count: 100_000), using: Randomness()).node.utf8.count < 1000)
    }

    @Test func `a read znode leads to its processor`() throws {
        let member = MemberName(for: "front", using: Randomness())
        let node = ContenderName.name(uuid: member.makeUUID(using: Randomness()), kind: .read, number: 3)
        #expect(MemberName.tag(ofContender: node) == member.tag)
        #expect(try #require(ContenderName(node)).kind == .read)
        #expect(member.makeUUID(using: Randomness()) != member.makeUUID(using: Randomness()))
        #expect(member.makeUUID(using: Randomness()).utf8.count == 36)
    }

    @Test func `what is no member's or contender's has no tag`() {
        for node in ["", "front", "front-", "front-1234567", "front-123456789"] {
            #expect(MemberName(node: node) == nil)
        }
        for node in ["", "_c_", "_c_12345678", "lock-0000000001", "x-__READ__0000000001"] {
            #expect(MemberName.tag(ofContender: node) == nil)
        }
    }
}
