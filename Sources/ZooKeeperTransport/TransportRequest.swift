/// A request as a connection sends it; ``encodedSize`` is its size on the wire.
package enum TransportRequest: Sendable {
    case create(path: String, data: [UInt8]?, mode: TransportCreateMode, acl: [TransportACL])
    case delete(path: String, version: Int32)
    case exists(path: String, watch: Bool)
    case getData(path: String, watch: Bool)
    case setData(path: String, data: [UInt8]?, version: Int32)
    case getChildren(path: String, watch: Bool)
    case getACL(path: String)
    case setACL(path: String, acl: [TransportACL], version: Int32)
    case sync(path: String)
    case multi([TransportOperation])
    /// Removes all watches of a kind on a path, in the client and on the server.
    case removeWatches(path: String, kind: TransportWatchKind)
    case addAuth(TransportCredential)

    /// The size of the request on the wire in bytes, as the C client encodes it.
    ///
    /// A server compares its `jute.maxbuffer` with the size of the packet without the 4 bytes of its length field.
    package var encodedSize: Int {
        let header = 2 * Jute.int
        return switch self {
        case .create(let path, let data, let mode, let acl):
            header + Jute.create(path, data, acl) + (mode.timeToLive == nil ? 0 : Jute.long)
        case .delete(let path, _): header + Jute.string(path) + Jute.int
        case .exists(let path, _), .getData(let path, _), .getChildren(let path, _):
            header + Jute.string(path) + Jute.boolean
        case .setData(let path, let data, _): header + Jute.string(path) + Jute.buffer(data) + Jute.int
        case .getACL(let path), .sync(let path): header + Jute.string(path)
        case .setACL(let path, let acl, _): header + Jute.string(path) + Jute.vector(acl) + Jute.int
        case .multi(let operations):
            // One more header marks the end.
            operations.reduce(header + Jute.operationHeader) { $0 + $1.encodedSize }
        case .removeWatches(let path, _): header + Jute.string(path) + Jute.int
        case .addAuth(let credential):
            header + Jute.int + Jute.string(credential.scheme) + Jute.buffer(credential.credential)
        }
    }
}

package enum TransportOperation: Sendable {
    /// Creates persistent or ephemeral znodes, sequential or not; the C client parses the answers to other modes
    /// incorrectly.
    case create(path: String, data: [UInt8]?, mode: TransportCreateMode, acl: [TransportACL])
    case delete(path: String, version: Int32)
    case setData(path: String, data: [UInt8]?, version: Int32)
    case check(path: String, version: Int32)

    /// The size of the operation in the packet of its transaction, in bytes.
    package var encodedSize: Int {
        let body =
            switch self {
            case .create(let path, let data, _, let acl): Jute.create(path, data, acl)
            case .delete(let path, _), .check(let path, _): Jute.string(path) + Jute.int
            case .setData(let path, let data, _): Jute.string(path) + Jute.buffer(data) + Jute.int
            }
        return Jute.operationHeader + body
    }
}

package enum TransportCreateMode: Sendable, Equatable {
    case persistent, ephemeral, persistentSequential, ephemeralSequential, container
    /// The time to live is in milliseconds.
    case persistentWithTTL(Int64), persistentSequentialWithTTL(Int64)

    package var timeToLive: Int64? {
        switch self {
        case .persistentWithTTL(let time), .persistentSequentialWithTTL(let time): time
        case .persistent, .ephemeral, .persistentSequential, .ephemeralSequential, .container: nil
        }
    }
}

/// The two tables of watches on a server: data, set by reads and by `exists` also on missing znodes, and children.
package enum TransportWatchKind: Sendable, Hashable { case data, children }

package struct TransportACL: Sendable, Equatable {
    package var permissions: Int32
    package var scheme: String
    package var id: String

    package init(permissions: Int32, scheme: String, id: String) {
        self.permissions = permissions
        self.scheme = scheme
        self.id = id
    }
}

/// The sizes of encoded values: strings and buffers are preceded by their length, vectors by their count.
private enum Jute {
    static let boolean = 1
    static let int = 4
    static let long = 8
    /// The header of an operation in a transaction: its type, whether it is the end, and an error code.
    static let operationHeader = int + boolean + int

    static func string(_ text: String) -> Int { int + text.utf8.count }
    static func buffer(_ bytes: [UInt8]?) -> Int { int + (bytes?.count ?? 0) }

    static func vector(_ acl: [TransportACL]) -> Int {
        acl.reduce(int) { $0 + int + string($1.scheme) + string($1.id) }
    }

    static func create(_ path: String, _ data: [UInt8]?, _ acl: [TransportACL]) -> Int {
        string(path) + buffer(data) + vector(acl) + int
    }
}
