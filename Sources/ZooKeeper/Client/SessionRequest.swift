internal import ZooKeeperTransport

/// One request to the ensemble; paths are those of the user, below the chroot.
package enum SessionRequest: Sendable {
    /// If `acl` is `nil`, the ACL of the configuration is used.
    case create(path: String, data: [UInt8], mode: CreateMode, acl: [ACL]? = nil)
    case delete(path: String, version: Int32? = nil)
    case exists(path: String, watch: WatchSink? = nil)
    case data(path: String, watch: WatchSink? = nil)
    case children(path: String, watch: WatchSink? = nil)
    case setData(path: String, data: [UInt8], version: Int32? = nil)
    case acl(path: String)
    case setACL(path: String, acl: [ACL], version: Int32? = nil)
    case sync(path: String)
    case multi([TransactionOperation])
    case addAuth(AuthCredential)
    /// Removes a watch on the server, unless it has been set again.
    case unwatch(path: String, WatchedKind)
    /// Reads the configuration of the ensemble, whose path is not below the chroot.
    case ensembleConfiguration
}

extension SessionRequest {
    /// The properties of a kind of request.
    private struct Traits {
        enum Effect {
            /// Changes nothing, so that it can be repeated; `sync` also goes to the leader and back.
            case read, sync
            /// Is committed by the quorum.
            case write
            /// Changes only the connection.
            case authentication
        }

        var name: String
        var effect: Effect
        var path: String?
        var watch: WatchSink?

        init(_ name: String, _ effect: Effect, _ path: String? = nil, _ watch: WatchSink? = nil) {
            self.name = name
            self.effect = effect
            self.path = path
            self.watch = watch
        }
    }

    private var traits: Traits {
        switch self {
        case .create(let path, _, _, _): Traits("create", .write, path)
        case .delete(let path, _): Traits("delete", .write, path)
        case .exists(let path, let watch): Traits("exists", .read, path, watch)
        case .data(let path, let watch): Traits("get", .read, path, watch)
        case .children(let path, let watch): Traits("children", .read, path, watch)
        case .setData(let path, _, _): Traits("set", .write, path)
        case .acl(let path): Traits("get_acl", .read, path)
        case .setACL(let path, _, _): Traits("set_acl", .write, path)
        case .sync(let path): Traits("sync", .sync, path)
        case .multi: Traits("multi", .write)
        case .addAuth: Traits("add_auth", .authentication)
        case .unwatch(let path, _): Traits("unwatch", .read, path)
        case .ensembleConfiguration: Traits("config", .read)
        }
    }

    /// Returns the request as the transport sends it; everything except its size has been validated.
    fileprivate func transport(_ encoder: RequestEncoder) throws(ZooKeeperError) -> TransportRequest {
        switch self {
        case .create(let path, let data, let mode, let acl):
            .create(
                path: try encoder.full(path, isSequentialPrefix: mode.isSequential), data: data,
                mode: try mode.transport(), acl: acl.map { $0.map(\.transport) } ?? encoder.acl)
        case .delete(let path, let version):
            .delete(path: try encoder.full(path), version: try encoder.checked(version))
        case .exists(let path, let watch): .exists(path: try encoder.full(path), watch: watch != nil)
        case .data(let path, let watch): .getData(path: try encoder.full(path), watch: watch != nil)
        case .children(let path, let watch): .getChildren(path: try encoder.full(path), watch: watch != nil)
        case .setData(let path, let data, let version):
            .setData(path: try encoder.full(path), data: data, version: try encoder.checked(version))
        case .acl(let path): .getACL(path: try encoder.full(path))
        case .setACL(let path, let acl, let version):
            .setACL(path: try encoder.full(path), acl: acl.map(\.transport), version: try encoder.checked(version))
        case .sync(let path): .sync(path: try encoder.full(path))
        case .multi(let operations): .multi(try encoder.encode(operations))
        case .addAuth(let credential): .addAuth(credential.transport)
        case .unwatch(let path, let kind): .removeWatches(path: try encoder.full(path), kind: kind.transport)
        case .ensembleConfiguration: .getData(path: "/zookeeper/config", watch: false)
        }
    }

    /// The name of the operation in metrics and spans.
    var name: String { traits.name }

    /// The path for errors.
    var path: String? { traits.path }

    var watch: WatchSink? { traits.watch }

    /// Whether it changes nothing, so that it can be repeated.
    var isRead: Bool { [.read, .sync].contains(traits.effect) }

    /// The evidence for the session that a successful answer gives.
    var shows: SessionValidity.Answer {
        switch traits.effect {
        case .write: .proof
        case .sync: .echo
        case .read, .authentication: .activity
        }
    }

    /// Whether it only releases something: it deletes, and creates nothing.
    var givesUp: Bool {
        switch self {
        case .delete: true
        case .multi(let operations): operations.contains(where: \.isDelete) && !operations.contains(where: \.isCreate)
        default: false
        }
    }
}

/// Encodes requests and decodes answers: applies the chroot and defaults, and validates.
struct RequestEncoder: Sendable {
    let chroot: String
    let acl: [TransportACL]
    let maximumPacketSize: Int

    init(_ configuration: ZooKeeperClientConfiguration) {
        chroot = configuration.chroot.map(\.string).flatMap { $0 == "/" ? nil : $0 } ?? ""
        acl = configuration.acl.map(\.transport)
        maximumPacketSize = configuration.maximumPacketSize
    }

    /// Validates a request and encodes it.
    ///
    /// - Throws: ``ZooKeeperError`` with code `.invalidPath`, `.invalidArgument` or `.dataTooLarge`; nothing has been
    ///   sent.
    func encode(_ request: SessionRequest) throws(ZooKeeperError) -> TransportRequest {
        let encoded = try request.transport(self)
        try checkSize(of: encoded, for: request)
        return encoded
    }

    /// Returns the path on the server, with the chroot.
    func full(_ path: String, isSequentialPrefix: Bool = false) throws(ZooKeeperError) -> String {
        // The server appends digits to a sequential name, so that "/locks/" and "/" are legal prefixes.
        let isPrefix = isSequentialPrefix && path.utf8.last == UInt8(ascii: "/")
        let checked = try ZNodePath(isPrefix ? path + "0" : path)
        return checked.isRoot && !chroot.isEmpty ? chroot : chroot + path
    }

    /// Returns the path of the user, without the chroot.
    func stripped(_ path: String) -> String {
        guard !chroot.isEmpty, path.utf8.starts(with: chroot.utf8) else { return path }
        let rest = path.utf8.dropFirst(chroot.utf8.count)
        guard let first = rest.first else { return "/" }
        return first == UInt8(ascii: "/") ? String(Substring(rest)) : path
    }

    fileprivate func encode(_ operations: [TransactionOperation]) throws(ZooKeeperError) -> [TransportOperation] {
        guard !operations.isEmpty else {
            throw ZooKeeperError(.invalidArgument, message: "a transaction must have at least one operation")
        }
        var encoded: [TransportOperation] = []
        for (index, operation) in operations.enumerated() {
            do {
                encoded.append(try encode(operation))
            } catch {
                var error = error
                error.failedOperation = index
                throw error
            }
        }
        return encoded
    }

    private func encode(_ operation: TransactionOperation) throws(ZooKeeperError) -> TransportOperation {
        switch operation.kind {
        case .create(let data, let mode, let acl):
            return .create(
                path: try full(operation.path, isSequentialPrefix: mode.isSequential), data: data,
                mode: try mode.transportInTransaction(), acl: acl.map { $0.map(\.transport) } ?? self.acl)
        case .delete(let version): return .delete(path: try full(operation.path), version: try checked(version))
        case .setData(let data, let version):
            return .setData(path: try full(operation.path), data: data, version: try checked(version))
        case .check(let version): return .check(path: try full(operation.path), version: try checked(version))
        }
    }

    /// Returns the version for the wire, where -1 means any version; a requested version must not be -1 by accident.
    fileprivate func checked(_ version: Int32?) throws(ZooKeeperError) -> Int32 {
        guard let version else { return -1 }
        guard version != -1 else {
            throw ZooKeeperError(
                .invalidArgument, message: "version -1 would match any version; use nil instead")
        }
        return version
    }
}

extension RequestEncoder {
    /// Checks that a server accepts the size of the request: one above its limit would lose the connection, and all its
    /// requests.
    private func checkSize(of encoded: TransportRequest, for request: SessionRequest) throws(ZooKeeperError) {
        let size = encoded.encodedSize
        guard size > maximumPacketSize else { return }
        var message = "the request takes \(size) bytes, and maximumPacketSize is \(maximumPacketSize)"
        if let count = request.dataCount {
            message += "; of \(count) bytes of data at most \(max(0, count + maximumPacketSize - size)) would fit"
        }
        throw ZooKeeperError(.dataTooLarge, path: request.path, message: message)
    }

    /// Returns how many of these paths one transaction of checks can contain.
    ///
    /// - Parameter refusedSize: The packet size that the servers probably refuse; `nil` if none is known.
    func prefixThatFits(ofChecks paths: [String], refusedSize: Int?) -> Int {
        let limit = min(maximumPacketSize, refusedSize.map { $0 - 1 } ?? maximumPacketSize)
        var size = TransportRequest.multi([]).encodedSize
        return paths.prefix { path in
            size += TransportOperation.check(path: chroot + path, version: -1).encodedSize
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
