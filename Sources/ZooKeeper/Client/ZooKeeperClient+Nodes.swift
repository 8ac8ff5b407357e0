internal import Synchronization

extension ZooKeeperClient {
    /// Creates a znode.
    ///
    /// The client does not repeat the request if its outcome is unknown; the error says so. To find out later whether
    /// the znode was created, use a unique name in the path.
    ///
    /// - Parameters:
    ///   - path: The path of the znode. In a sequential mode, the server appends ten digits.
    ///   - data: The data of the znode; limited by the server's packet size, about 1 MiB. Default: empty.
    ///   - mode: The lifetime of the znode, and whether its name is numbered. Default: `.persistent`.
    ///   - acl: The access control list; `nil` uses ``ZooKeeperClientConfiguration/acl``. Default: `nil`.
    ///   - parents: Whether to create missing parents, as containers or persistent znodes according to
    ///     ``ZooKeeperClientConfiguration/usesContainerParents``. Default: `false`.
    /// - Returns: The path that was created, and its stat.
    /// - Throws: ``ZooKeeperError``: `.nodeExists`, `.noNode` if a parent is missing, `.noChildrenForEphemerals`,
    ///   `.noAuth`, `.dataTooLarge`, `.unimplemented` if the mode is disabled on the server; `CancellationError`.
    /// - Complexity: 1 request in 1 round trip. If `k` parents are missing and `parents` is `true`, 2`k` + 1 requests,
    ///   one after the other.
    @discardableResult
    public func create(
        _ path: String,
        data: [UInt8] = [],
        mode: CreateMode = .persistent,
        acl: [ACL]? = nil,
        parents: Bool = false
    ) async throws -> (path: String, stat: ZNodeStat) {
        let request = SessionRequest.create(path: path, data: data, mode: mode, acl: acl)
        let deadline = core.requestDeadline
        for _ in 0..<Self.parentAttempts where parents {
            do {
                return try await core.perform(request, until: deadline).created
            } catch let error as ZooKeeperError where error.code == .noNode {
                try await createParents(of: path, acl: acl, until: deadline)
            }
        }
        return try await core.perform(request, until: deadline).created
    }

    /// The number of attempts: the server may delete an empty container between the creation of a parent and that of
    /// its child.
    private static let parentAttempts = 10

    /// Creates the missing parents of a path.
    ///
    /// A parent that exists is not an error.
    ///
    /// - Parameter deadline: The deadline of all requests together; `nil` uses that of the retry policy, or none in the
    ///   steps of a recipe.
    /// - Throws: ``ZooKeeperError``, or `CancellationError`.
    /// - Complexity: 1 request if at most the direct parent is missing. If `k` parents are missing, 2`k` - 1 requests,
    ///   one after the other: `k` from the lowest parent upwards, and `k` - 1 downwards.
    package func createParents(of path: String, acl: [ACL]? = nil, until deadline: MonotonicInstant? = nil) async throws
    {
        let deadline = deadline ?? core.requestDeadline
        let isPrefix = path.utf8.last == UInt8(ascii: "/")
        guard let parent = try ZNodePath(isPrefix ? path + "0" : path).parent, !parent.isRoot else {
            // The missing znode is above the root of this client: it is a part of its chroot.
            throw ZooKeeperError(.noNode, path: configuration.chroot?.string ?? path, message: "the chroot is missing")
        }
        let mode: CreateMode = configuration.usesContainerParents ? .container : .persistent
        do {
            _ = try await core.perform(.create(path: parent.string, data: [], mode: mode, acl: acl), until: deadline)
        } catch let error as ZooKeeperError where error.code == .noNode {
            try await createParents(of: parent.string, acl: acl, until: deadline)
            try await createParents(of: path, acl: acl, until: deadline)
        } catch let error as ZooKeeperError where error.code == .nodeExists || error.isOutcomeUnknown {
            return
        }
    }

    /// Returns the data of a znode.
    ///
    /// The result may be older than what other clients see. If it must not be, call ``sync(_:)`` first.
    ///
    /// - Parameter path: The path of the znode.
    /// - Returns: The data and the stat of the znode.
    /// - Throws: ``ZooKeeperError``: `.noNode`, `.noAuth`; `CancellationError`.
    /// - Complexity: 1 request in 1 round trip.
    public func data(at path: String) async throws -> (data: [UInt8], stat: ZNodeStat) {
        try await core.perform(.data(path: path)).data
    }

    /// Returns the data of a znode, or `nil` if the znode does not exist.
    ///
    /// - Parameter path: The path of the znode.
    /// - Returns: The data and the stat of the znode, or `nil`.
    /// - Throws: ``ZooKeeperError``: `.noAuth`; `CancellationError`.
    /// - Complexity: 1 request in 1 round trip.
    public func dataIfExists(at path: String) async throws -> (data: [UInt8], stat: ZNodeStat)? {
        try await ifPresent { try await data(at: path) }
    }

    /// Runs an operation; returns `nil` if it finds no such znode.
    private func ifPresent<Result>(_ operation: () async throws -> Result) async throws -> Result? {
        do { return try await operation() } catch let error as ZooKeeperError where error.code == .noNode { return nil }
    }

    /// Replaces the data of a znode.
    ///
    /// - Parameters:
    ///   - data: The new data of the znode.
    ///   - path: The path of the znode.
    ///   - version: The data version that the znode must have; `nil` writes without this check. Default: `nil`.
    /// - Returns: The stat of the znode after the write.
    /// - Throws: ``ZooKeeperError``: `.noNode`, `.badVersion`, `.noAuth`, `.dataTooLarge`; `CancellationError`.
    /// - Complexity: 1 request in 1 round trip.
    @discardableResult
    public func setData(_ data: [UInt8], at path: String, version: Int32? = nil) async throws -> ZNodeStat {
        try await core.perform(.setData(path: path, data: data, version: version)).stat
    }

    /// Returns the stat of a znode, or `nil` if the znode does not exist.
    ///
    /// - Parameter path: The path of the znode.
    /// - Returns: The stat of the znode, or `nil`.
    /// - Throws: ``ZooKeeperError``, whose codes are listed in ``ZooKeeperClient``; `CancellationError`.
    /// - Complexity: 1 request in 1 round trip.
    public func exists(at path: String) async throws -> ZNodeStat? {
        try await ifPresent { try await core.perform(.exists(path: path)).stat }
    }

    /// Deletes a znode that has no children.
    ///
    /// - Parameters:
    ///   - path: The path of the znode.
    ///   - version: The data version that the znode must have; `nil` deletes without this check. Default: `nil`.
    /// - Throws: ``ZooKeeperError``: `.noNode`, `.badVersion`, `.notEmpty`, `.noAuth`; `CancellationError`.
    /// - Complexity: 1 request in 1 round trip.
    public func delete(_ path: String, version: Int32? = nil) async throws {
        _ = try await core.perform(.delete(path: path, version: version))
    }

    /// Deletes a znode and all of its descendants.
    ///
    /// The deletion is not one transaction: other clients may see a part of the tree deleted, and children created in
    /// the meantime are deleted as well. A znode that does not exist is not an error.
    ///
    /// - Parameter path: The path of the znode.
    /// - Throws: ``ZooKeeperError``: `.invalidArgument` for the root of the ensemble, which cannot be deleted,
    ///   `.noAuth`; `CancellationError`.
    /// - Complexity: 1 request for each znode without children, 4 for each znode with children, and 3 for the znode at
    ///   `path` if it has children. The children of one znode are deleted in one round trip. Znodes with children are
    ///   deleted one after the other, in 4 round trips each.
    public func deleteRecursively(_ path: String) async throws {
        guard path != "/" || core.encoder.chroot != "" else {
            throw ZooKeeperError(.invalidArgument, path: path, message: "the root of an ensemble cannot be deleted")
        }
        while true {
            do {
                return try await delete(path)
            } catch let error as ZooKeeperError where error.code == .noNode {
                return
            } catch let error as ZooKeeperError where error.code == .notEmpty {
                try await deleteChildren(of: path)
            }
        }
    }

    private func deleteChildren(of path: String) async throws {
        let names = try await ifPresent { try await self.children(of: path).names } ?? []
        let children = names.map { ZNodePath.child($0, of: path) }
        let deletions = core.submit(children.map { .delete(path: $0) }, deadline: core.requestDeadline)
        for (child, deletion) in zip(children, deletions) {
            switch try await deletion.value() {
            case .success: continue
            case .failure(let error) where error.code == .noNode: continue
            case .failure(let error) where error.code == .notEmpty: try await deleteRecursively(child)
            case .failure(let error): throw error
            }
        }
    }

    /// Returns the names of the children of a znode.
    ///
    /// - Parameter path: The path of the znode.
    /// - Returns: The names in no particular order, and the stat of the znode itself.
    /// - Throws: ``ZooKeeperError``: `.noNode`, `.noAuth`; `CancellationError`.
    /// - Complexity: 1 request in 1 round trip.
    public func children(of path: String) async throws -> (names: [String], stat: ZNodeStat) {
        try await core.perform(.children(path: path)).children
    }

    /// Returns the names of the children of a znode in byte order, or an empty list if the znode does not exist.
    package func sortedChildren(of path: String) async throws -> [String] {
        try await ifPresent { try await children(of: path).names.sortedByBytes() } ?? []
    }

    /// Returns the children of a znode with their data, or an empty list if the znode does not exist.
    ///
    /// The children are in the byte order of their names. Children that are deleted in the meantime are omitted. The
    /// children are not read at the same time, so the result is not a snapshot.
    ///
    /// - Parameters:
    ///   - path: The path of the znode.
    ///   - isIncluded: Selects the children to read by their names. Default: all children.
    /// - Returns: The children that were read. ``ZNodeChild/data`` is `nil` if the client has no permission to read the
    ///   child.
    /// - Throws: ``ZooKeeperError``: `.noAuth` if the client has no permission to list the children;
    ///   `CancellationError`.
    /// - Complexity: 1 request to list the children, and 1 for each child, up to 64 in one round trip. 1 more request
    ///   for each child that the client has no permission to read, and for each child whose request was lost with its
    ///   connection.
    public func childrenWithData(
        of path: String, where isIncluded: (String) -> Bool = { _ in true }
    ) async throws -> [ZNodeChild] {
        try await readChildren(sortedChildren(of: path).filter(isIncluded), of: path)
    }

    /// Returns some of the children of a znode, in the same way as ``childrenWithData(of:where:)``.
    package func readChildren(_ names: [String], of path: String) async throws -> [ZNodeChild] {
        let deadline = core.requestDeadline
        var found: [ZNodeChild] = []
        var names = names[...]
        while !names.isEmpty {
            let some = names.prefix(64)
            names = names.dropFirst(64)
            let paths = some.map { ZNodePath.child($0, of: path) }
            let reads = core.submit(paths.map { .data(path: $0) }, deadline: deadline)
            for (index, name) in some.enumerated() {
                var result = try await reads[index].value()
                // A lost connection fails all requests in flight.
                if case .failure(let error) = result, error.isTransient {
                    do { result = .success(try await core.perform(.data(path: paths[index]), until: deadline)) } catch {
                        guard let error = error as? ZooKeeperError else { throw error }
                        result = .failure(error)
                    }
                }
                switch result {
                case .success(let reply):
                    let (data, stat) = try reply.data
                    found.append(ZNodeChild(path: paths[index], name: name, data: data, stat: stat))
                case .failure(let error) where error.code == .noNode: continue
                case .failure(let error) where error.code == .noAuth:
                    guard let stat = try await exists(at: paths[index]) else { continue }
                    found.append(ZNodeChild(path: paths[index], name: name, data: nil, stat: stat))
                case .failure(let error): throw error
                }
            }
        }
        return found
    }

    /// Returns the access control list of a znode.
    ///
    /// - Parameter path: The path of the znode.
    /// - Returns: The access control list and the stat of the znode.
    /// - Throws: ``ZooKeeperError``: `.noNode`, `.noAuth`; `CancellationError`.
    /// - Complexity: 1 request in 1 round trip.
    public func acl(at path: String) async throws -> (acl: [ACL], stat: ZNodeStat) {
        try await core.perform(.acl(path: path)).acl
    }

    /// Replaces the access control list of a znode.
    ///
    /// The C client does not report the new stat; ``exists(at:)`` returns it.
    ///
    /// - Parameters:
    ///   - acl: The new access control list.
    ///   - path: The path of the znode.
    ///   - version: The version that the access control list must have; `nil` writes without this check. Default:
    ///     `nil`.
    /// - Throws: ``ZooKeeperError``: `.noNode`, `.badVersion`, `.noAuth`, `.invalidACL`; `CancellationError`.
    /// - Complexity: 1 request in 1 round trip.
    public func setACL(_ acl: [ACL], at path: String, version: Int32? = nil) async throws {
        _ = try await core.perform(.setACL(path: path, acl: acl, version: version))
    }

    /// Waits until the connected server has caught up with the leader.
    ///
    /// Later reads of this client see everything that was committed before this call. It is no evidence that the
    /// session is alive, because a leader that has lost its quorum answers it as well. It does not wait for what other
    /// clients have proposed and is not committed yet, at least if the connected server is the leader.
    ///
    /// - Parameter path: A path, which does not have to exist. Default: `/`.
    /// - Throws: ``ZooKeeperError``, whose codes are listed in ``ZooKeeperClient``; `CancellationError`.
    /// - Complexity: 1 request in 1 round trip, through the leader.
    public func sync(_ path: String = "/") async throws {
        _ = try await core.perform(.sync(path: path))
    }

    /// Executes operations as one transaction: either all of them at one instant, or none.
    ///
    /// - Parameter operations: The operations, at least one.
    /// - Returns: One result per operation, in the same order.
    /// - Throws: ``ZooKeeperError`` with the code and the path of the first operation that failed, and its index in
    ///   ``ZooKeeperError/failedOperation``; `.invalidArgument` for an empty list, or for a mode that is not allowed in
    ///   a transaction; `CancellationError`.
    /// - Complexity: 1 request in 1 round trip.
    @discardableResult
    public func transaction(_ operations: [TransactionOperation]) async throws -> [TransactionResult] {
        guard case .multi(let results) = try await core.perform(.multi(operations)) else { return [] }
        return results
    }

    /// Adds a credential, for this connection and for all later ones.
    ///
    /// - Parameter credential: The credential to present to the server.
    /// - Throws: ``ZooKeeperError`` with code `.authenticationFailed` if the server refuses the credential; the client
    ///   has then failed permanently. `.dataTooLarge` if the credential is too large; the client does not keep it.
    ///   `CancellationError`.
    /// - Complexity: 1 request in 1 round trip, and 1 request on each later connection.
    public func addAuth(_ credential: AuthCredential) async throws {
        // A kept credential is sent on every connection: one that the server does not accept would lose every
        // connection.
        _ = try core.encoder.encode(.addAuth(credential))
        core.state.withLock { state in
            if !state.credentials.contains(credential) { state.credentials.append(credential) }
        }
        _ = try await core.perform(.addAuth(credential))
    }

    /// Returns the configuration of the ensemble as the servers store it.
    ///
    /// - Returns: The members and the version in ZooKeeper's text format, and the stat of the znode
    ///   `/zookeeper/config`.
    /// - Throws: ``ZooKeeperError``: `.noAuth` if the client has no permission to read this znode; `CancellationError`.
    /// - Complexity: 1 request in 1 round trip.
    public func ensembleConfiguration() async throws -> (text: String, stat: ZNodeStat) {
        let (data, stat) = try await core.perform(.ensembleConfiguration).data
        return (String(decoding: data, as: UTF8.self), stat)
    }
}

/// A child of a znode, as returned by ``ZooKeeperClient/childrenWithData(of:where:)``.
public struct ZNodeChild: Sendable, Hashable {
    /// The path of the child.
    @ZNodeName public var path: String
    /// The name of the child, which is the last component of its path.
    @ZNodeName public var name: String
    /// The data of the child; `nil` if the client has no permission to read it.
    public var data: [UInt8]?
    /// The stat of the child.
    public var stat: ZNodeStat

    /// Returns the data of the child.
    ///
    /// - Throws: ``ZooKeeperError`` with code `.noAuth` if the client has no permission to read it.
    package func read() throws(ZooKeeperError) -> [UInt8] {
        guard let data else { throw ZooKeeperError(.noAuth, path: path) }
        return data
    }
}
