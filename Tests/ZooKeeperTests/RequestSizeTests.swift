import Testing
import ZooKeeperTransport

@testable import ZooKeeper

/// One kind of request whose size a filler decides.
struct SizedRequest: Sendable, CustomTestStringConvertible {
    var testDescription: String
    /// What it takes on the wire with an empty filler.
    var fixedSize: Int
    var request: @Sendable (_ filler: Int) -> SessionRequest

    private static func path(_ filler: Int) -> String { "/" + String(repeating: "p", count: filler) }
    private static func bytes(_ filler: Int) -> [UInt8] { [UInt8](repeating: 0, count: filler) }

    private static func acl(_ filler: Int) -> [ACL] {
        [.openUnsafe, ACL(permissions: .read, scheme: "ip", id: String(repeating: "i", count: filler))]
    }

    /// All kinds of requests.
    ///
    /// The chroot `/app` is in front of each path: 4 bytes. A header has 8, a length 4, `world` and `anyone` 23 with their
    /// permissions and lengths, and 27 with the number of entries.
    static let all: [SizedRequest] = [
        SizedRequest("data of create", 8 + (4 + 4 + 2) + 4 + 27 + 4) {
            .create(path: "/a", data: bytes($0), mode: .persistent)
        },
        SizedRequest("path of create", 8 + (4 + 4 + 1) + (4 + 3) + 27 + 4) {
            .create(path: path($0), data: [1, 2, 3], mode: .ephemeralSequential)
        },
        SizedRequest("ACL of create", 8 + (4 + 4 + 2) + 4 + 27 + (4 + 4 + 2 + 4) + 4) {
            .create(path: "/a", data: [], mode: .container, acl: acl($0))
        },
        SizedRequest("data of create with a time to live", 8 + (4 + 4 + 2) + 4 + 27 + 4 + 8) {
            .create(path: "/a", data: bytes($0), mode: .persistent(timeToLive: .seconds(1)))
        },
        SizedRequest("path of delete", 8 + (4 + 4 + 1) + 4) { .delete(path: path($0)) },
        SizedRequest("path of exists", 8 + (4 + 4 + 1) + 1) { .exists(path: path($0)) },
        SizedRequest("path of exists with a watch", 8 + (4 + 4 + 1) + 1) {
            .exists(path: path($0), watch: WatchSink { _ in })
        },
        SizedRequest("path of data", 8 + (4 + 4 + 1) + 1) { .data(path: path($0)) },
        SizedRequest("path of children", 8 + (4 + 4 + 1) + 1) { .children(path: path($0)) },
        SizedRequest("data of setData", 8 + (4 + 4 + 2) + 4 + 4) { .setData(path: "/a", data: bytes($0)) },
        SizedRequest("path of setData", 8 + (4 + 4 + 1) + (4 + 2) + 4) { .setData(path: path($0), data: [1, 2]) },
        SizedRequest("path of acl", 8 + (4 + 4 + 1)) { .acl(path: path($0)) },
        SizedRequest("path of setACL", 8 + (4 + 4 + 1) + 27 + 4) { .setACL(path: path($0), acl: [.openUnsafe]) },
        SizedRequest("ACL of setACL", 8 + (4 + 4 + 2) + 27 + (4 + 4 + 2 + 4) + 4) {
            .setACL(path: "/a", acl: acl($0))
        },
        SizedRequest("path of sync", 8 + (4 + 4 + 1)) { .sync(path: path($0)) },
        SizedRequest("path of unwatch", 8 + (4 + 4 + 1) + 4) { .unwatch(path: path($0), .data) },
        SizedRequest("credential of addAuth", 8 + 4 + (4 + 6) + 4) {
            .addAuth(AuthCredential(scheme: "digest", credential: bytes($0)))
        },
        // Each operation has a header of 9 bytes, and one more ends the list.
        SizedRequest("path in a transaction", 8 + 9 + (9 + 10 + 4) + (9 + 9 + 4)) {
            .multi([.check("/a"), .delete(path($0))])
        },
        SizedRequest("data in a transaction", 8 + 9 + (9 + 10 + 4 + 4) + (9 + 10 + (4 + 1) + 27 + 4)) {
            .multi([.setData(bytes($0), at: "/a"), .create("/b", data: [1])])
        },
        SizedRequest("ACL in a transaction", 8 + 9 + (9 + 10 + 4 + 27 + (4 + 4 + 2 + 4) + 4)) {
            .multi([.create("/b", acl: acl($0))])
        },
    ]

    private init(_ name: String, _ fixedSize: Int, _ request: @escaping @Sendable (Int) -> SessionRequest) {
        (testDescription, self.fixedSize, self.request) = (name, fixedSize, request)
    }
}

@Suite
struct RequestSizeTests {
    private static let limit = 5000

    private func encoder() throws -> RequestEncoder {
        var configuration = ZooKeeperClientConfiguration(servers: [], chroot: try ZNodePath("/app"))
        configuration.maximumPacketSize = Self.limit
        return RequestEncoder(configuration)
    }

    @Test(arguments: SizedRequest.all)
    func `a request at the limit is sent, and one byte more is refused with the size and the limit`(
        sized: SizedRequest
    ) throws {
        let encoder = try encoder()
        let most = Self.limit - sized.fixedSize
        #expect(try encoder.encode(sized.request(most)).encodedSize == Self.limit)
        let error = zooKeeperError { _ = try encoder.encode(sized.request(most + 1)) }
        #expect(error?.code == .dataTooLarge)
        #expect(error?.isOutcomeUnknown == false)
        #expect(error?.message?.contains("\(Self.limit + 1) bytes") == true)
        #expect(error?.message?.contains("maximumPacketSize is \(Self.limit)") == true)
    }

    @Test func `an access control list of twenty thousand entries is refused`() throws {
        let encoder = RequestEncoder(ZooKeeperClientConfiguration(servers: []))
        let acl = (0..<20_000).map {
            ACL(permissions: .all, scheme: "digest", id: "user\($0):0123456789012345678901234=")
        }
        let requests: [SessionRequest] = [
            .setACL(path: "/a", acl: acl), .create(path: "/a", data: [], mode: .persistent, acl: acl),
            .multi([.create("/a", acl: acl)]),
        ]
        for request in requests {
            #expect(zooKeeperError { _ = try encoder.encode(request) }?.code == .dataTooLarge)
        }
    }

    @Test func `the data that would fit is named`() throws {
        let error = zooKeeperError {
            _ = try encoder().encode(.setData(path: "/a", data: [UInt8](repeating: 0, count: 6000)))
        }
        #expect(error?.message?.contains("at most \(Self.limit - 26) would fit") == true)
    }

    @Test func `the configuration's own list counts where none is given`() throws {
        var configuration = ZooKeeperClientConfiguration(servers: [])
        configuration.maximumPacketSize = 2000
        configuration.acl = (0..<100).map { ACL(permissions: .all, scheme: "ip", id: "10.0.0.\($0)/32") }
        let encoder = RequestEncoder(configuration)
        let create = SessionRequest.create(path: "/a", data: [], mode: .persistent)
        #expect(zooKeeperError { _ = try encoder.encode(create) }?.code == .dataTooLarge)
        #expect(zooKeeperError { _ = try encoder.encode(.multi([.create("/a")])) }?.code == .dataTooLarge)
    }

    @Test func `a credential that no server takes is refused with the configuration`() {
        var configuration = ZooKeeperClientConfiguration(servers: [ServerAddress(host: "127.0.0.1", port: 2181)])
        configuration.maximumPacketSize = 2000
        configuration.auth = [AuthCredential(scheme: "digest", credential: [UInt8](repeating: 1, count: 2000 - 26))]
        #expect(throws: Never.self) { try configuration.validate() }
        configuration.auth[0].credential.append(1)
        let error = zooKeeperError { try configuration.validate() }
        #expect(error?.code == .invalidConfiguration)
        #expect(error?.message?.contains("maximumPacketSize") == true)
    }

    @Test func `a transaction of checks is as long as fits`() throws {
        let encoder = try encoder()
        let paths = (0..<100).map { "/" + String(repeating: "x", count: 100 + $0 % 3) }
        let count = encoder.prefixThatFits(ofChecks: paths, refusedSize: nil)
        #expect(throws: Never.self) { try encoder.encode(.multi(paths.prefix(count).map { .check($0) })) }
        #expect(throws: ZooKeeperError.self) {
            try encoder.encode(.multi(paths.prefix(count + 1).map { .check($0) }))
        }
        #expect(encoder.prefixThatFits(ofChecks: [], refusedSize: nil) == 0)
    }
}
