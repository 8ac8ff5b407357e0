internal import ZooKeeperTransport

/// What a request takes on the wire, as the C client encodes it.
///
/// An `int` takes 4 bytes, a `long` 8, a `boolean` 1. Strings and buffers are preceded by their length, vectors by their
/// count. A server compares its `jute.maxbuffer` with the packet without the 4 bytes of the packet's own length.
extension TransportRequest {
    var encodedSize: Int {
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
            // The end is marked by one more header.
            operations.reduce(header + Jute.operationHeader) { $0 + Jute.operationHeader + $1.encodedSize }
        case .removeWatches(let path, _): header + Jute.string(path) + Jute.int
        case .addAuth(let credential):
            header + Jute.int + Jute.string(credential.scheme) + Jute.buffer(credential.credential)
        }
    }
}

extension TransportOperation {
    fileprivate var encodedSize: Int {
        switch self {
        case .create(let path, let data, _, let acl): Jute.create(path, data, acl)
        case .delete(let path, _), .check(let path, _): Jute.string(path) + Jute.int
        case .setData(let path, let data, _): Jute.string(path) + Jute.buffer(data) + Jute.int
        }
    }
}

extension TransportCreateMode {
    fileprivate var timeToLive: Int64? {
        switch self {
        case .persistentWithTTL(let time), .persistentSequentialWithTTL(let time): time
        case .persistent, .ephemeral, .persistentSequential, .ephemeralSequential, .container: nil
        }
    }
}

/// The sizes of encoded values.
private enum Jute {
    static let boolean = 1
    static let int = 4
    static let long = 8
    /// The header of a transaction's operation: its type, whether it is the end, and an error code.
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

extension RequestEncoder {
    /// Checks that a server takes the request: one that is over its limit would cost the connection, and everything on it.
    func checkSize(of encoded: TransportRequest, for request: SessionRequest) throws(ZooKeeperError) {
        let size = encoded.encodedSize
        guard size > maximumPacketSize else { return }
        var message = "the request takes \(size) bytes, and maximumPacketSize is \(maximumPacketSize)"
        if let count = request.dataCount {
            message += "; of \(count) bytes of data at most \(max(0, count + maximumPacketSize - size)) would fit"
        }
        throw ZooKeeperError(.dataTooLarge, path: request.path, message: message)
    }

    /// How many of these paths a transaction of checks can have.
    ///
    /// - Parameter refusedSize: The packet size that the servers probably refuse, if one is known.
    func prefixThatFits(ofChecks paths: [String], refusedSize: Int?) -> Int {
        let limit = min(maximumPacketSize, refusedSize.map { $0 - 1 } ?? maximumPacketSize)
        var size = TransportRequest.multi([]).encodedSize
        return paths.prefix { path in
            size += Jute.operationHeader + TransportOperation.check(path: chroot + path, version: -1).encodedSize
            return size <= limit
        }.count
    }
}

extension SessionRequest {
    fileprivate var dataCount: Int? {
        switch self {
        case .create(_, let data, _, _), .setData(_, let data, _): data.count
        default: nil
        }
    }
}
