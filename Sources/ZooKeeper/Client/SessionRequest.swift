internal import ZooKeeperTransport

/// One request to the ensemble; paths are the user's, below the chroot.
package enum SessionRequest: Sendable {
    /// `acl` `nil` takes the configuration's.
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
    /// Takes a znode's watch away at the server, unless somebody has set it again.
    case unwatch(path: String, WatchedKind)
    /// The ensemble's own configuration; its path is not below the chroot.
    case ensembleConfiguration
}

/// The answer to a request that succeeded.
package enum SessionReply: Sendable {
    case none
    case created(path: String, stat: ZNodeStat)
    case stat(ZNodeStat)
    case data([UInt8], ZNodeStat)
    case children([String], ZNodeStat)
    case acl([ACL], ZNodeStat)
    case multi([TransactionResult])
}

package typealias SessionResult = Result<SessionReply, ZooKeeperError>

extension SessionRequest {
    /// The path that errors name.
    var path: String? {
        switch self {
        case .create(let path, _, _, _), .delete(let path, _), .exists(let path, _), .data(let path, _),
            .children(let path, _), .setData(let path, _, _), .acl(let path), .setACL(let path, _, _), .sync(let path),
            .unwatch(let path, _):
            path
        case .multi, .addAuth, .ensembleConfiguration: nil
        }
    }

    /// Whether it changes nothing, so that it can be repeated.
    var isRead: Bool {
        switch self {
        case .exists, .data, .children, .acl, .sync, .unwatch, .ensembleConfiguration: true
        case .create, .delete, .setData, .setACL, .multi, .addAuth: false
        }
    }

    /// Whether it only gives something up: it deletes, and creates nothing.
    var givesUp: Bool {
        switch self {
        case .delete: true
        case .multi(let operations): operations.contains(where: \.isDelete) && !operations.contains(where: \.isCreate)
        default: false
        }
    }

    /// What its success shows of the session.
    var shows: SessionValidity.Answer {
        switch self {
        case .create, .delete, .setData, .setACL, .multi: .proof
        case .sync: .echo
        case .exists, .data, .children, .acl, .unwatch, .addAuth, .ensembleConfiguration: .activity
        }
    }

    var watch: WatchSink? {
        switch self {
        case .exists(_, let watch), .data(_, let watch), .children(_, let watch): watch
        default: nil
        }
    }

    /// The operation's name in metrics and spans.
    var name: String {
        switch self {
        case .create: "create"
        case .delete: "delete"
        case .exists: "exists"
        case .data: "get"
        case .children: "children"
        case .setData: "set"
        case .acl: "get_acl"
        case .setACL: "set_acl"
        case .sync: "sync"
        case .multi: "multi"
        case .addAuth: "add_auth"
        case .unwatch: "unwatch"
        case .ensembleConfiguration: "config"
        }
    }
}

/// Turns requests into what goes over the wire, and answers back: chroot, defaults, checks.
struct RequestEncoder: Sendable {
    let chroot: String
    let acl: [TransportACL]
    let maximumPacketSize: Int

    init(_ configuration: ZooKeeperClientConfiguration) {
        chroot = configuration.chroot.map(\.string).flatMap { $0 == "/" ? nil : $0 } ?? ""
        acl = configuration.acl.map(\.transport)
        maximumPacketSize = configuration.maximumPacketSize
    }

    /// Checks a request and encodes it.
    ///
    /// - Throws: `.invalidPath`, `.invalidArgument` or `.dataTooLarge`; nothing has been sent then.
    func encode(_ request: SessionRequest) throws(ZooKeeperError) -> TransportRequest {
        let encoded = try translate(request)
        try checkSize(of: encoded, for: request)
        return encoded
    }

    private func translate(_ request: SessionRequest) throws(ZooKeeperError) -> TransportRequest {
        switch request {
        case .create(let path, let data, let mode, let acl):
            return .create(
                path: try full(path, isSequentialPrefix: mode.isSequential), data: data, mode: try mode.transport(),
                acl: acl.map { $0.map(\.transport) } ?? self.acl)
        case .delete(let path, let version): return .delete(path: try full(path), version: try checked(version))
        case .exists(let path, let watch): return .exists(path: try full(path), watch: watch != nil)
        case .data(let path, let watch): return .getData(path: try full(path), watch: watch != nil)
        case .children(let path, let watch): return .getChildren(path: try full(path), watch: watch != nil)
        case .setData(let path, let data, let version):
            return .setData(path: try full(path), data: data, version: try checked(version))
        case .acl(let path): return .getACL(path: try full(path))
        case .setACL(let path, let acl, let version):
            return .setACL(path: try full(path), acl: acl.map(\.transport), version: try checked(version))
        case .sync(let path): return .sync(path: try full(path))
        case .multi(let operations): return .multi(try encode(operations))
        case .addAuth(let credential):
            return .addAuth(TransportCredential(scheme: credential.scheme, credential: credential.credential))
        case .unwatch(let path, let kind): return .removeWatches(path: try full(path), kind: kind.transport)
        case .ensembleConfiguration: return .getData(path: "/zookeeper/config", watch: false)
        }
    }

    /// The path as the server knows it.
    func full(_ path: String, isSequentialPrefix: Bool = false) throws(ZooKeeperError) -> String {
        // The server appends digits to a sequential name, so that "/locks/" and "/" are legal prefixes.
        let isPrefix = isSequentialPrefix && path.utf8.last == UInt8(ascii: "/")
        let checked = try ZNodePath(isPrefix ? path + "0" : path)
        return checked.isRoot && !chroot.isEmpty ? chroot : chroot + path
    }

    /// The path as the user knows it.
    func stripped(_ path: String) -> String {
        guard !chroot.isEmpty, path.utf8.starts(with: chroot.utf8) else { return path }
        let rest = path.utf8.dropFirst(chroot.utf8.count)
        guard let first = rest.first else { return "/" }
        return first == UInt8(ascii: "/") ? String(Substring(rest)) : path
    }

    private func encode(_ operations: [TransactionOperation]) throws(ZooKeeperError) -> [TransportOperation] {
        guard !operations.isEmpty else {
            throw ZooKeeperError(.invalidArgument, message: "a transaction has at least one operation")
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

    /// The wire's "any version" is -1; a version that was asked for is not negative by accident.
    private func checked(_ version: Int32?) throws(ZooKeeperError) -> Int32 {
        guard let version else { return -1 }
        guard version != -1 else {
            throw ZooKeeperError(
                .invalidArgument, message: "version -1 would match any; leave the version out to mean that")
        }
        return version
    }
}

extension RequestEncoder {
    /// Turns a successful answer into its public form.
    func decode(_ reply: TransportReply, to request: SessionRequest) -> SessionResult {
        guard reply.code == .ok else { return .failure(error(for: reply, request: request)) }
        return switch reply.body {
        case .none: .success(.none)
        case .created(let path, let stat): .success(.created(path: stripped(path), stat: ZNodeStat(stat)))
        case .stat(let stat): .success(.stat(ZNodeStat(stat)))
        case .data(let data, let stat): .success(.data(data ?? [], ZNodeStat(stat)))
        case .children(let names, let stat): .success(.children(names, ZNodeStat(stat)))
        case .acl(let acl, let stat): .success(.acl(acl.map(ACL.init), ZNodeStat(stat)))
        case .multi(let results): .success(.multi(results.map(decode)))
        }
    }

    private func decode(_ result: TransportOperationResult) -> TransactionResult {
        TransactionResult(path: result.path.map(stripped), stat: result.stat.map(ZNodeStat.init))
    }

    private func error(for reply: TransportReply, request: SessionRequest) -> ZooKeeperError {
        var error = ZooKeeperError(replyCode: reply.code, path: request.path)
        guard case .multi(let operations) = request, case .multi(let results) = reply.body else { return error }
        // Operations before the failing one have succeeded, those after it were not tried.
        guard !error.isOutcomeUnknown,
            let index = results.firstIndex(where: { ![.ok, .runtimeInconsistency].contains($0.code) })
        else {
            return error
        }
        error.failedOperation = index
        if index < operations.count { error.path = operations[index].path }
        return error
    }
}
