import SystemSupport
import ZooKeeperTestKit

/// A session without the client under test, so that the test kit is tested by itself.
final class RawClient: Sendable {
    let session: RawSession

    private init(_ session: consuming RawSession) { self.session = session }

    static func connect(to host: String, port: Int, timeout: Int32 = 30_000) async throws -> RawClient {
        try await onOwnThread { RawClient(try RawSession(timeout: timeout, host: host, port: port)) }
    }

    static func connect(to server: TestServer, timeout: Int32 = 30_000) async throws -> RawClient {
        try await Self.connect(to: server.address, port: server.port, timeout: timeout)
    }

    static func connect(to proxy: FaultProxy, timeout: Int32 = 30_000) async throws -> RawClient {
        try await Self.connect(to: proxy.address, port: proxy.port, timeout: timeout)
    }

    /// Creates a node that anybody may use, and returns the answer's code.
    func create(_ path: String, ephemeral: Bool = false, data: [UInt8] = []) async throws -> Int32 {
        var body = WireWriter()
        body.buffer(Array(path.utf8))
        body.buffer(data)
        body.int32(1)  // one entry in the access list
        body.int32(31)  // everything
        body.buffer(Array("world".utf8))
        body.buffer(Array("anyone".utf8))
        body.int32(ephemeral ? 1 : 0)
        return try await self.send(.create, body.bytes)
    }

    func exists(_ path: String, watch: Bool = false) async throws -> Int32 {
        var body = WireWriter()
        body.buffer(Array(path.utf8))
        body.bool(watch)
        return try await self.send(.exists, body.bytes)
    }

    func sync() async throws -> Int32 {
        var body = WireWriter()
        body.buffer(Array("/".utf8))
        return try await self.send(.sync, body.bytes)
    }

    private func send(_ operation: ProxiedRequest.Operation, _ body: [UInt8]) async throws -> Int32 {
        try await onOwnThread { try self.session.request(operation, body: body) }
    }
}

/// Codes of answers.
enum Answer {
    static let success: Int32 = 0
    static let noNode: Int32 = -101
}
