import Testing
import ZooKeeper
import ZooKeeperRecipes

@Suite struct ContenderNameTests {
    private static let uuid = "0aa73a2f-53c5-4f8f-b4ba-38a2d7e5f0a1"

    @Test(arguments: [
        ("_c_x-lock-0000000007", ContenderName.Kind.lock, Int32(7)),
        ("lock-0000000000", .lock, 0),
        ("_c_x-latch-0000000012", .latch, 12),
        ("_c_x-__READ__0000000001", .read, 1),
        ("__WRIT__2147483647", .write, 2_147_483_647),
        ("_c_x-__READ__-2147483648", .read, .min),
        ("_c_x-lock--2147483648", .lock, .min),
        ("_c_x-latch--0000000001", .latch, -1),
        ("a-lock-b-__WRIT__0000000003", .write, 3),
    ])
    func `a child's name gives its kind and its signed number`(
        _ string: String, kind: ContenderName.Kind, number: Int32
    ) throws {
        let name = try #require(ContenderName(string))
        #expect(name.kind == kind)
        #expect(name.number == number)
        #expect(name.string == string)
    }

    @Test(arguments: [
        "", "config", "0-config", "0000000001", "lock-", "lock-1", "lock-000000001", "lock-00000000001",
        "lock-000000000a", "lock-0000000001x", "lease-0000000001", "__READ__x0000000001", "lock-9999999999",
        "lock---0000000001", "_READ_0000000001",
    ])
    func `H16 a foreign child is no contender`(_ string: String) {
        #expect(ContenderName(string) == nil)
    }

    @Test func `own names are known by the uuid alone`() throws {
        let name = try #require(ContenderName("_c_\(Self.uuid)-__READ__0000000004"))
        #expect(name.isOwn(prefix: ContenderName.prefix(uuid: Self.uuid)))
        #expect(!name.isOwn(prefix: ContenderName.prefix(uuid: "1aa73a2f-53c5-4f8f-b4ba-38a2d7e5f0a1")))
        #expect(ContenderName.base(uuid: Self.uuid, kind: .read) + "0000000004" == name.string)
    }

    @Test(arguments: [Int32(0), 7, .max, -1, .min]) func `H17 a name with a chosen number reads back`(_ number: Int32)
        throws
    {
        for kind in ContenderName.Kind.allCases {
            let name = try #require(
                ContenderName(ContenderName.name(uuid: Self.uuid, kind: kind, number: number)))
            #expect(name.number == number)
            #expect(name.kind == kind)
            #expect(name.isOwn(prefix: ContenderName.prefix(uuid: Self.uuid)))
        }
    }

    @Test func `a uuid has its form, in lower case`() throws {
        let uuid = ContenderName.makeUUID(using: Randomness())
        #expect(uuid.wholeMatch(of: /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/) != nil)
        #expect(uuid != ContenderName.makeUUID(using: Randomness()))
    }

    @Test func `H14 numbers order names as numbers, and creations break ties`() throws {
        let last = try #require(ContenderName("a-lock-2147483647"))
        let tied = try #require(ContenderName("b-lock-2147483647"))
        let wrapped = try #require(ContenderName("c-lock--2147483648"))
        #expect(wrapped.isBefore(last))
        #expect(!last.isBefore(tied) && !tied.isBefore(last))
        #expect(tied.isBefore(last, czxids: [last.string: 9, tied.string: 8]))
    }

    @Test func `H14 near the counter's end a number is refused`() throws {
        func isRefused(_ number: Int32) throws -> Bool {
            try #require(ContenderName(ContenderName.name(uuid: "u", kind: .lock, number: number))).isBeyondTheLimit
        }
        #expect(try !isRefused(0))
        #expect(try !isRefused(.max - (1 << 20)))
        #expect(try isRefused(.max - (1 << 20) + 1))
        #expect(try isRefused(.max))
        #expect(try isRefused(-1))
    }
}
