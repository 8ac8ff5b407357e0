internal import Synchronization

extension ZooKeeperClient {
    /// Creates a znode.
    ///
    /// Not repeated when its outcome is unknown: the error says so, and a name of your own in the path tells later
    /// whether it happened.
    ///
    /// - Parameters:
    ///   - path: Where. With a sequential mode the server appends ten digits.
    ///   - data: What it holds; limited by the server's packet size, about 1 MiB.
    ///   - mode: How long it lives.
    ///   - acl: Who may do what; `nil` takes the configuration's list.
    ///   - parents: Whether to create parents that are missing, as containers or persistent as configured.
    /// - Returns: The path that was created, and its stat.
    /// - Throws: ``ZooKeeperError``: `.nodeExists`, `.noNode` for a missing parent, `.noChildrenForEphemerals`,
    ///   `.noAuth`, `.dataTooLarge`, `.unimplemented` for a mode that is switched off there; or `CancellationError`.
    /// - Complexity: One round trip; with missing parents one more for each, and one again.
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

    /// Empty containers may be removed by the server between the creation of a parent and that of its child.
    private static let parentAttempts = 10

    /// Creates the parents of a path that are missing.
    ///
    /// - Parameter deadline: When to give up; `nil` takes the policy's, once for all of it.
    /// - Throws: ``ZooKeeperError``, or `CancellationError`. A parent that exists is no error.
    /// - Complexity: One round trip for each missing parent, from the lowest upwards, and one for each downwards.
    package func createParents(of path: String, acl: [ACL]? = nil, until deadline: MonotonicInstant? = nil) async throws
    {
        let deadline = deadline ?? core.requestDeadline
        let isPrefix = path.utf8.last == UInt8(ascii: "/")
        guard let parent = try ZNodePath(isPrefix ? path + "0" : path).parent, !parent.isRoot else {
            // Missing above the root of this client: its chroot.
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

    /// Reads a znode's data.
    ///
    /// The answer may be behind what other clients see; ``sync(_:)`` first, when it must not be.
    ///
    /// - Throws: ``ZooKeeperError``: `.noNode`, `.noAuth`; or `CancellationError`.
    /// - Complexity: One round trip.
    public func data(at path: String) async throws -> (data: [UInt8], stat: ZNodeStat) {
        try await core.perform(.data(path: path)).data
    }

    /// Reads a znode's data; `nil` if there is no such znode.
    ///
    /// - Throws: ``ZooKeeperError``: `.noAuth`; or `CancellationError`.
    /// - Complexity: One round trip.
    public func dataIfExists(at path: String) async throws -> (data: [UInt8], stat: ZNodeStat)? {
        try await ifPresent { try await data(at: path) }
    }

    /// Runs an operation; `nil` if it finds no such znode.
    private func ifPresent<Result>(_ operation: () async throws -> Result) async throws -> Result? {
        do { return try await operation() } catch let error as ZooKeeperError where error.code == .noNode { return nil }
    }

    /// Writes a znode's data.
    ///
    /// - Parameters:
    ///   - data: What the znode is to hold.
    ///   - path: The znode.
    ///   - version: Writes only if the znode has this data version; `nil` writes in any case.
    /// - Throws: ``ZooKeeperError``: `.noNode`, `.badVersion`, `.noAuth`, `.dataTooLarge`; or `CancellationError`.
    /// - Complexity: One round trip.
    @discardableResult
    public func setData(_ data: [UInt8], at path: String, version: Int32? = nil) async throws -> ZNodeStat {
        try await core.perform(.setData(path: path, data: data, version: version)).stat
    }

    /// Looks whether a znode stands.
    ///
    /// - Returns: Its stat, or `nil`.
    /// - Complexity: One round trip.
    public func exists(at path: String) async throws -> ZNodeStat? {
        try await ifPresent { try await core.perform(.exists(path: path)).stat }
    }

    /// Deletes a znode that has no children.
    ///
    /// - Parameters:
    ///   - path: The znode.
    ///   - version: Deletes only if the znode has this data version; `nil` deletes in any case.
    /// - Throws: ``ZooKeeperError``: `.noNode`, `.badVersion`, `.notEmpty`, `.noAuth`; or `CancellationError`.
    /// - Complexity: One round trip.
    public func delete(_ path: String, version: Int32? = nil) async throws {
        _ = try await core.perform(.delete(path: path, version: version))
    }

    /// Deletes a znode and everything below it.
    ///
    /// Not one transaction: others may see a part of it gone, and children created meanwhile are deleted as well.
    /// A znode that is missing is no error.
    /// - Throws: ``ZooKeeperError``: `.invalidArgument` for the ensemble's root, which cannot go, `.noAuth`; or
    ///   `CancellationError`.
    /// - Complexity: Two requests a znode, a level's requests in one flight.
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

    /// Lists a znode's children.
    ///
    /// - Returns: Their names in no order, and the znode's own stat.
    /// - Throws: ``ZooKeeperError``: `.noNode`, `.noAuth`; or `CancellationError`.
    /// - Complexity: One round trip.
    public func children(of path: String) async throws -> (names: [String], stat: ZNodeStat) {
        try await core.perform(.children(path: path)).children
    }

    /// Lists a znode's children in the order of their names' bytes; empty if there is no such znode.
    package func sortedChildren(of path: String) async throws -> [String] {
        try await ifPresent { try await children(of: path).names.sortedByBytes() } ?? []
    }

    /// Reads a znode's children with their data, in the order of their names' bytes; empty if there is no such znode.
    ///
    /// Children that are deleted meanwhile are left out. The answers are of different moments.
    ///
    /// - Parameters:
    ///   - path: The znode.
    ///   - isIncluded: Which children to read, by their names.
    /// - Throws: ``ZooKeeperError``: `.noAuth` if the children may not be listed; or `CancellationError`.
    /// - Complexity: One listing, and a read for each child, up to 64 in flight; another request for each child whose data may
    ///   not be read.
    public func childrenWithData(
        of path: String, where isIncluded: (String) -> Bool = { _ in true }
    ) async throws -> [ZNodeChild] {
        try await readChildren(sortedChildren(of: path).filter(isIncluded), of: path)
    }

    /// Reads some of a znode's children, as ``childrenWithData(of:where:)``.
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
                // A lost connection takes all that are in flight with it.
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

    /// Reads a znode's access control list.
    ///
    /// - Throws: ``ZooKeeperError``: `.noNode`, `.noAuth`; or `CancellationError`.
    public func acl(at path: String) async throws -> (acl: [ACL], stat: ZNodeStat) {
        try await core.perform(.acl(path: path)).acl
    }

    /// Replaces a znode's access control list.
    ///
    /// The C client does not pass the new stat on; ``exists(at:)`` tells it.
    ///
    /// - Parameters:
    ///   - acl: Who may do what from now on.
    ///   - path: The znode.
    ///   - version: Only if the list has this version; `nil` in any case.
    /// - Throws: ``ZooKeeperError``: `.noNode`, `.badVersion`, `.noAuth`, `.invalidACL`; or `CancellationError`.
    /// - Complexity: One round trip.
    public func setACL(_ acl: [ACL], at path: String, version: Int32? = nil) async throws {
        _ = try await core.perform(.setACL(path: path, acl: acl, version: version))
    }

    /// Has the connected server catch up with the leader: later reads of this client see what was committed before.
    ///
    /// It proves nothing about the session: a leader that has lost its quorum answers it, too. Nor does it wait for what
    /// others have proposed and is not committed yet, at least on a leader.
    /// - Complexity: One round trip.
    public func sync(_ path: String = "/") async throws {
        _ = try await core.perform(.sync(path: path))
    }

    /// Executes operations as one transaction: all of them at one instant, or none.
    ///
    /// - Returns: One result an operation.
    /// - Throws: ``ZooKeeperError`` with the first failing operation's code,
    ///   ``ZooKeeperError/failedOperation`` and path; or `CancellationError`.
    /// - Complexity: One round trip.
    @discardableResult
    public func transaction(_ operations: [TransactionOperation]) async throws -> [TransactionResult] {
        guard case .multi(let results) = try await core.perform(.multi(operations)) else { return [] }
        return results
    }

    /// Presents a credential, on this connection and on all later ones.
    ///
    /// - Throws: ``ZooKeeperError`` with code `.authenticationFailed` when the server refuses it; the client is over then.
    ///   `.dataTooLarge`, and the credential is not kept.
    public func addAuth(_ credential: AuthCredential) async throws {
        // What is kept is sent on each connection: what the server would not take would cost every one of them.
        _ = try core.encoder.encode(.addAuth(credential))
        core.state.withLock { state in
            if !state.credentials.contains(credential) { state.credentials.append(credential) }
        }
        _ = try await core.perform(.addAuth(credential))
    }

    /// The ensemble's own configuration, as the servers keep it: members and version in ZooKeeper's text form.
    public func ensembleConfiguration() async throws -> (text: String, stat: ZNodeStat) {
        let (data, stat) = try await core.perform(.ensembleConfiguration).data
        return (String(decoding: data, as: UTF8.self), stat)
    }
}

/// A child of a znode, as ``ZooKeeperClient/childrenWithData(of:where:)`` has read it.
public struct ZNodeChild: Sendable, Hashable {
    /// Its path.
    @ZNodeName public var path: String
    /// Its name, the last part of the path.
    @ZNodeName public var name: String
    /// Its data; `nil` if it may not be read.
    public var data: [UInt8]?
    /// Its stat.
    public var stat: ZNodeStat

    /// Its data.
    ///
    /// - Throws: ``ZooKeeperError`` with code `.noAuth` if it may not be read.
    package func read() throws(ZooKeeperError) -> [UInt8] {
        guard let data else { throw ZooKeeperError(.noAuth, path: path) }
        return data
    }
}
