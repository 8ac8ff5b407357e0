package import ZooKeeper

/// A request to the owner of a participant's znode, which does not change the data of that znode.
///
/// For the queue at `PATH`, the request is an ephemeral znode `PATH-requests/<candidate>.<uuid>`, owned by the sender.
/// It cannot be stored in the queue itself, because Apache Curator counts every child. The same transaction rewrites
/// the data of the participant's znode unchanged. This notifies the owner, which watches its own znode anyway.
package struct ContenderRequest: Sendable, Hashable {
    /// The kind of request.
    package enum Kind: String, Sendable, Hashable {
        /// Release the lock when convenient.
        case release
        /// The holder offers a hand-over, which the recipient may accept.
        case transfer
        /// Hand the lock or the leadership over to the sender.
        case takeover
        /// Resign, or hand the leadership over to a candidate; an operator sends it.
        case resign
        /// Evict a processor that has not paused; an operator sends it to a window.
        case evict
    }

    package var kind: Kind
    /// The ID of the sender.
    package var requesterID: String
    /// The reason, for operators.
    package var reason: String
    /// Further details that the kind needs, such as names of candidates and priorities.
    package var details: [String: String]

    package init(_ kind: Kind, requesterID: String, reason: String = "", details: [String: String] = [:]) {
        self.kind = kind
        self.requesterID = requesterID
        self.reason = reason
        self.details = details
    }

    private static let detailPrefix = "detail."

    /// Parses a request; `nil` if its kind is unknown.
    init?(_ data: [UInt8]) {
        let text = KeyValueData(data)
        guard let kind = text["kind"].flatMap(Kind.init) else { return nil }
        self.init(kind, requesterID: text["from"] ?? "", reason: text["reason"] ?? "")
        for (key, value) in text.fields where key.hasBytePrefix(Self.detailPrefix) {
            details[String(Substring(key.utf8.dropFirst(Self.detailPrefix.utf8.count)))] = value
        }
    }

    var bytes: [UInt8] {
        var text = KeyValueData()
        text["kind"] = kind.rawValue
        text["from"] = requesterID
        text["reason"] = reason
        for key in details.keys.sorted() { text[Self.detailPrefix + key] = details[key] }
        return text.bytes
    }

    /// Returns the directory of the requests to the participants of a queue, which is a sibling of the queue.
    package static func directory(ofQueue path: String) -> String { path + "-requests" }
}

extension ContenderRequest {
    /// Creates the request where the owner of a candidate finds it, and notifies the owner.
    ///
    /// The request exists until the owner takes it, the sender withdraws it, or the session of the sender ends. The
    /// transaction is repeated in the same session until it has certainly been executed.
    ///
    /// - Parameters:
    ///   - candidate: The name of the znode in the queue.
    ///   - queue: The queue's directory.
    ///   - client: The client that sends the request.
    ///   - session: The session that owns the request.
    ///   - sending: Called with the path of the request before it is sent, so that a cancelled caller can withdraw it.
    /// - Returns: The path of the request, for ``withdraw(_:session:)``; `nil` if there is no such candidate.
    /// - Throws: `ZooKeeperError`, with code `.sessionExpired` if the session has ended; `CancellationError`, in which
    ///   case the request may exist.
    /// - Complexity: 2 requests in 2 round trips.
    package func send(
        to candidate: String, inQueue queue: String, client: ZooKeeperClient, session: SessionHandle,
        sending: (String) -> Void = { _ in }
    ) async throws -> String? {
        let uuid = ContenderName.makeUUID(using: client.randomness)
        let path = "\(Self.directory(ofQueue: queue))/\(candidate).\(uuid)"
        sending(path)
        let target = "\(queue == "/" ? "" : queue)/\(candidate)"
        var backoff = client.makeBackoff(.quick)
        while true {
            do {
                let (data, stat) = try await session.send(.data(path: target)).data
                _ = try await session.send(
                    .multi([
                        .create(path, data: bytes, mode: .ephemeral),
                        .setData(data, at: target, version: stat.dataVersion),
                    ]))
                return path
            } catch let error as ZooKeeperError where error.code == .noNode {
                // The znode that does not exist is the directory of the requests, or the candidate.
                guard error.failedOperation == 0 else { return nil }
                try await client.recipeSteps { try await client.createParents(of: path) }
            } catch let error as ZooKeeperError where error.code == .nodeExists {
                return path
            } catch let error as ZooKeeperError where error.code == .badVersion {
                continue
            } catch let error as ZooKeeperError where error.isOutcomeUnknown || error.code == .connectionLoss {
                try await client.clock.sleep(until: client.clock.now + backoff.pause())
            }
        }
    }

    /// Creates the request in the client's current session, or in the next one if that ends meanwhile.
    ///
    /// - Parameter sending: Called with the path and the session of the request before it is sent.
    /// - Returns: The path and the session of the request; `nil` if there is no such candidate.
    /// - Throws: `ZooKeeperError`; `CancellationError`, in which case the request may exist.
    /// - Complexity: 2 requests in 2 round trips.
    package func send(
        to candidate: String, inQueue queue: String, client: ZooKeeperClient,
        sending: (String, SessionHandle) -> Void = { _, _ in }
    ) async throws -> (path: String, session: SessionHandle)? {
        while true {
            let session = try await client.connectedSession()
            do {
                return try await send(
                    to: candidate, inQueue: queue, client: client, session: session,
                    sending: { sending($0, session) }
                ).map { ($0, session) }
            } catch let error as ZooKeeperError where error.code == .sessionExpired {
                continue
            }
        }
    }

    /// Withdraws a request, whether or not its recipient has read it.
    package static func withdraw(_ path: String, session: SessionHandle) {
        session.cleanUp(.node(path: path))
    }

    /// Reads the requests to a candidate without deleting them.
    ///
    /// - Returns: The requests with their paths, in the order of their creation. Requests of an unknown kind are left
    ///   out.
    /// - Throws: `ZooKeeperError`, `CancellationError`.
    /// - Complexity: 1 request for the list. If it is not empty, 1 more for each entry, in 1 round trip.
    package static func read(
        for candidate: String, inQueue queue: String, session: SessionHandle
    ) async throws -> [(path: String, request: ContenderRequest)] {
        let directory = directory(ofQueue: queue)
        let listing = try await session.sendAll(.children(path: directory))[0]
        if case .failure(let error) = listing, error.code == .noNode { return [] }
        let paths = try listing.get().children.names.filter { $0.hasBytePrefix(candidate + ".") }
            .map { ZNodePath.child($0, of: directory) }
        let results = try await session.sendAll(paths.map { .data(path: $0) })
        let found = zip(paths, results).compactMap { path, result -> (path: String, ContenderRequest, ZXID)? in
            guard case .success(.data(let data, let stat)) = result else { return nil }
            return ContenderRequest(data).map { (path, $0, stat.czxid) }
        }
        return found.sorted { $0.2 < $1.2 }.map { ($0.path, $0.1) }
    }

    /// The requests that ``take(for:inQueue:session:)`` has read and deleted.
    package struct Taken: Sendable, Hashable {
        /// The requests in the order of their creation.
        package var requests: [ContenderRequest] = []
        /// Whether none is left; `false` if the connection was lost meanwhile, so that the call has to be repeated.
        package var isComplete = true
    }

    /// Reads and deletes the requests to a candidate.
    ///
    /// A request that its sender withdraws first is left out: the sender then knows that it was not read. Requests of an
    /// unknown kind are deleted as well.
    ///
    /// - Returns: The requests that were deleted, or that the server does not allow to delete.
    /// - Throws: `ZooKeeperError`, `CancellationError`. Requests that were not read still exist.
    /// - Complexity: 1 request for the list. If it is not empty, 2 more for each entry, in 1 round trip.
    package static func take(
        for candidate: String, inQueue queue: String, session: SessionHandle
    ) async throws -> Taken {
        let directory = directory(ofQueue: queue)
        let listing = try await session.sendAll(.children(path: directory))[0]
        if case .failure(let error) = listing, error.code == .noNode { return Taken() }
        let paths = try listing.get().children.names.filter { $0.hasBytePrefix(candidate + ".") }
            .map { ZNodePath.child($0, of: directory) }
        guard !paths.isEmpty else { return Taken() }
        let results = try await session.sendAll(paths.flatMap { [.data(path: $0), .delete(path: $0)] })
        var taken = Taken()
        let found = stride(from: 0, to: results.count, by: 2).compactMap { index -> (ContenderRequest, ZXID)? in
            if case .failure(let error) = results[index + 1], error.code != .noAuth {
                if error.isTransient || error.isOutcomeUnknown { taken.isComplete = false }
                return nil
            }
            guard case .success(.data(let data, let stat)) = results[index] else { return nil }
            return ContenderRequest(data).map { ($0, stat.czxid) }
        }
        taken.requests = found.sorted { $0.1 < $1.1 }.map(\.0)
        return taken
    }
}
