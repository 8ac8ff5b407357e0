import Testing
import ZooKeeperTransport

@testable import ZooKeeper

@Suite
struct RequestEncoderTests {
    private let plain = RequestEncoder(ZooKeeperClientConfiguration(servers: []))
    private let rooted: RequestEncoder

    init() throws {
        rooted = RequestEncoder(ZooKeeperClientConfiguration(servers: [], chroot: try ZNodePath("/app/one")))
    }

    private func path(of request: SessionRequest, by encoder: RequestEncoder) throws -> String? {
        switch try encoder.encode(request) {
        case .create(let path, _, _, _), .delete(let path, _), .exists(let path, _), .getData(let path, _),
            .setData(let path, _, _), .getChildren(let path, _), .getACL(let path), .setACL(let path, _, _),
            .sync(let path), .removeWatches(let path, _):
            path
        case .multi, .addAuth: nil
        }
    }

    private static func onPath(_ path: String) -> [SessionRequest] {
        [
            .create(path: path, data: [], mode: .persistent), .delete(path: path), .exists(path: path),
            .data(path: path), .children(path: path), .setData(path: path, data: []), .acl(path: path),
            .setACL(path: path, acl: [.openUnsafe]), .sync(path: path), .unwatch(path: path, .data),
        ]
    }

    // MARK: Chroot

    @Test func `every path goes below the chroot`() throws {
        for request in Self.onPath("/a") {
            #expect(try path(of: request, by: rooted) == "/app/one/a")
            #expect(try path(of: request, by: plain) == "/a")
        }
        for request in Self.onPath("/") { #expect(try path(of: request, by: rooted) == "/app/one") }
        guard case .multi(let operations) = try rooted.encode(.multi([.check("/a"), .delete("/b")])),
            case .check("/app/one/a", -1) = operations[0], case .delete("/app/one/b", -1) = operations[1]
        else {
            Issue.record("a transaction's paths are not below the chroot")
            return
        }
    }

    @Test(arguments: [
        ("/", "/app/one/"), ("/a/", "/app/one/a/"), ("/a", "/app/one/a"), ("/\u{301}/", "/app/one/\u{301}/"),
        ("/\u{600}/", "/app/one/\u{600}/"),
    ])
    func `a sequential znode is numbered below the chroot, also in a transaction`(prefix: String, full: String) throws {
        for mode in [CreateMode.ephemeralSequential, .persistentSequential] {
            #expect(try path(of: .create(path: prefix, data: [], mode: mode), by: rooted) == full)
            #expect(try path(of: .create(path: prefix, data: [], mode: mode), by: plain) == prefix)
            guard case .multi(let operations) = try rooted.encode(.multi([.create(prefix, mode: mode)])),
                case .create(full, _, _, _) = operations[0]
            else {
                Issue.record("\(prefix) in a transaction is not below the chroot")
                continue
            }
        }
        #expect(rooted.stripped(full + "0000000001") == prefix + "0000000001")
        let plainMode = SessionRequest.create(path: "/a/", data: [], mode: .ephemeral)
        #expect(zooKeeperError { _ = try path(of: plainMode, by: rooted) } != nil)
        // Without a number, the root is the chroot itself.
        #expect(try path(of: .create(path: "/", data: [], mode: .persistent), by: rooted) == "/app/one")
    }

    @Test func `the ensemble's own configuration is not below the chroot`() throws {
        #expect(try path(of: .ensembleConfiguration, by: rooted) == "/zookeeper/config")
    }

    @Test func `a chroot that is the root changes nothing`() throws {
        let encoder = RequestEncoder(ZooKeeperClientConfiguration(servers: [], chroot: try ZNodePath("/")))
        #expect(try encoder.full("/a") == "/a")
        #expect(encoder.stripped("/a") == "/a")
    }

    @Test func `paths come back as they went`() throws {
        for path in ["/", "/a", "/a/b", "/app/one"] {
            #expect(rooted.stripped(try rooted.full(path)) == path)
            #expect(plain.stripped(try plain.full(path)) == path)
        }
        // Of a znode beside the chroot nothing is taken away.
        #expect(rooted.stripped("/app/onerous") == "/app/onerous")
        #expect(rooted.stripped("/other") == "/other")
    }

    @Test func `the paths in answers are stripped`() throws {
        let created = TransportReply(code: 0, body: .created(path: "/app/one/a-0000000003", .test()))
        let reply = try rooted.decode(created, to: .create(path: "/a-", data: [], mode: .persistentSequential)).get()
        #expect(try reply.created.path == "/a-0000000003")
        let multi = TransportReply(
            code: 0,
            body: .multi([
                TransportOperationResult(code: 0, path: "/app/one/b"),
                TransportOperationResult(code: 0, stat: .test(mzxid: 9)),
            ]))
        let operations = [TransactionOperation.create("/b"), .setData([], at: "/b")]
        guard case .multi(let results) = try rooted.decode(multi, to: .multi(operations)).get() else {
            Issue.record("another kind of answer")
            return
        }
        #expect(results.map(\.path) == ["/b", nil])
        #expect(results[1].stat?.mzxid == ZXID(rawValue: 9))
    }

    // MARK: Checks

    @Test func `a slash at the end is a prefix for numbered znodes alone`() throws {
        for mode in [CreateMode.persistentSequential, .ephemeralSequential] {
            #expect(
                try path(of: .create(path: "/locks/", data: [], mode: mode), by: rooted) == "/app/one/locks/")
            #expect(
                throws: Never.self, "in a transaction as well"
            ) { try rooted.encode(.multi([.create("/locks/", mode: mode)])) }
        }
        let refused = zooKeeperError {
            _ = try plain.encode(.create(path: "/locks/", data: [], mode: .ephemeral))
        }
        #expect(refused?.code == .invalidPath)
        let doubled = zooKeeperError {
            _ = try plain.encode(.create(path: "/locks//", data: [], mode: .ephemeralSequential))
        }
        #expect(doubled?.code == .invalidPath)
    }

    @Test func `a path that no znode can have is refused, in every request`() {
        for request in Self.onPath("/a/../b") {
            #expect(zooKeeperError { _ = try plain.encode(request) }?.code == .invalidPath)
        }
    }

    @Test func `version -1 is refused, and none means any`() throws {
        let refused: [SessionRequest] = [
            .delete(path: "/a", version: -1), .setData(path: "/a", data: [], version: -1),
            .setACL(path: "/a", acl: [.openUnsafe], version: -1), .multi([.delete("/a", version: -1)]),
            .multi([.setData([], at: "/a", version: -1)]), .multi([.check("/a", version: -1)]),
        ]
        for request in refused {
            #expect(zooKeeperError { _ = try plain.encode(request) }?.code == .invalidArgument)
        }
        guard case .delete(_, -1) = try plain.encode(.delete(path: "/a")),
            case .setData(_, _, 7) = try plain.encode(.setData(path: "/a", data: [], version: 7))
        else {
            Issue.record("versions are not encoded")
            return
        }
    }

    @Test func `the configuration's rights are taken where none are given`() throws {
        var configuration = ZooKeeperClientConfiguration(servers: [])
        configuration.acl = [.readUnsafe]
        let encoder = RequestEncoder(configuration)
        guard case .create(_, _, _, let acl) = try encoder.encode(.create(path: "/a", data: [], mode: .persistent)),
            case .create(_, _, _, let own) = try encoder.encode(
                .create(path: "/a", data: [], mode: .persistent, acl: [.openUnsafe]))
        else {
            Issue.record("another kind of request")
            return
        }
        #expect(acl == [ACL.readUnsafe.transport])
        #expect(own == [ACL.openUnsafe.transport])
    }
}

@Suite
struct RequestEncoderTransactionTests {
    private let encoder = RequestEncoder(ZooKeeperClientConfiguration(servers: []))
    private let three: [TransactionOperation] = [.check("/a"), .create("/b"), .delete("/c")]

    private func failure(_ code: ReplyCode, _ codes: [ReplyCode]) -> ZooKeeperError? {
        let reply = TransportReply(code: code, body: .multi(codes.map { TransportOperationResult(code: $0) }))
        return zooKeeperError { _ = try encoder.decode(reply, to: .multi(three)).get() }
    }

    @Test func `the operation that cannot be is named`() {
        let wrong: [(TransactionOperation, ZooKeeperError.Code)] = [
            (.create("/b", mode: .container), .invalidArgument),
            (.create("/b", mode: .persistent(timeToLive: .seconds(1))), .invalidArgument),
            (.create("/b", mode: .persistentSequential(timeToLive: .seconds(1))), .invalidArgument),
            (.delete("b"), .invalidPath), (.check("/b", version: -1), .invalidArgument),
        ]
        for (operation, code) in wrong {
            let error = zooKeeperError { _ = try encoder.encode(.multi([.check("/a"), operation, .delete("/c")])) }
            #expect(error?.code == code)
            #expect(error?.failedOperation == 1)
        }
    }

    @Test func `a transaction has an operation`() {
        let error = zooKeeperError { _ = try encoder.encode(.multi([])) }
        #expect(error?.code == .invalidArgument)
        #expect(error?.failedOperation == nil)
    }

    @Test func `the data of all operations counts together`() {
        let half = [UInt8](repeating: 0, count: 600_000)
        #expect(throws: Never.self) { try encoder.encode(.multi([.setData(half, at: "/a")])) }
        let error = zooKeeperError {
            _ = try encoder.encode(.multi([.setData(half, at: "/a"), .create("/b", data: half)]))
        }
        #expect(error?.code == .dataTooLarge)
    }

    @Test(
        arguments: [
            ([-101, -2, -2], 0, "/a"), ([0, -101, -2], 1, "/b"), ([0, 0, -101], 2, "/c"),
        ] as [([ReplyCode], Int, String)])
    func `the operation that failed is named, with its path`(codes: [ReplyCode], index: Int, path: String) {
        let error = failure(-101, codes)
        #expect(error?.code == .noNode)
        #expect(error?.failedOperation == index)
        #expect(error?.path == path)
        #expect(error?.isOutcomeUnknown == false)
    }

    @Test(arguments: [-4, -7, -112, -116, -118] as [ReplyCode])
    func `a transaction whose outcome is unknown has no failed operation`(code: ReplyCode) {
        let error = failure(code, [code, -2, -2])
        #expect(error?.isOutcomeUnknown == true)
        #expect(error?.failedOperation == nil)
        #expect(error?.path == nil)
    }

    @Test func `a failure without results names no operation`() {
        let reply = TransportReply(code: -101)
        let error = zooKeeperError { _ = try encoder.decode(reply, to: .multi(three)).get() }
        #expect(error?.code == .noNode)
        #expect(error?.failedOperation == nil)
    }

    @Test func `a failure of another request names its path`() {
        let error = zooKeeperError { _ = try encoder.decode(TransportReply(code: -103), to: .delete(path: "/a")).get() }
        #expect(error == ZooKeeperError(.badVersion, path: "/a", serverCode: -103))
    }
}
