package import ZooKeeper

/// What somebody asks of the owner of a contender's znode, without touching what the znode says.
///
/// For the queue at `PATH` it is an ephemeral znode `PATH-requests/<candidate>.<uuid>` of the asker: nothing may be put into
/// the queue itself, because Apache Curator counts every child. In the same transaction the candidate's data is written
/// anew, unchanged: that tells its owner, who watches its own znode in any case.
package struct ContenderRequest: Sendable, Hashable {
    /// What is asked for.
    package enum Kind: String, Sendable, Hashable {
        /// Give the lock up when convenient.
        case release
        /// The holder offers its own place: come and take it.
        case transfer
        /// Hand the place over to the asker.
        case takeover
    }

    package var kind: Kind
    /// Who asks: a name for people, or a participant's id.
    package var asker: String
    /// Why, for people.
    package var reason: String
    /// What the kind needs beside: names of candidates, priorities.
    package var details: [String: String]

    package init(_ kind: Kind, asker: String, reason: String = "", details: [String: String] = [:]) {
        self.kind = kind
        self.asker = asker
        self.reason = reason
        self.details = details
    }

    private static let detailPrefix = "detail."

    /// Reads a request; `nil` when its kind is not known here.
    init?(_ data: [UInt8]) {
        let text = NodeText(data)
        guard let kind = text["kind"].flatMap(Kind.init) else { return nil }
        self.init(kind, asker: text["from"] ?? "", reason: text["reason"] ?? "")
        for (key, value) in text.fields where key.hasBytePrefix(Self.detailPrefix) {
            details[String(Substring(key.utf8.dropFirst(Self.detailPrefix.utf8.count)))] = value
        }
    }

    var bytes: [UInt8] {
        var text = NodeText()
        text["kind"] = kind.rawValue
        text["from"] = asker
        text["reason"] = reason
        for key in details.keys.sorted() { text[Self.detailPrefix + key] = details[key] }
        return text.bytes
    }

    /// Where the requests for a queue's contenders stand: beside it.
    package static func directory(ofQueue path: String) -> String { path + "-requests" }
}

extension ContenderRequest {
    /// Puts the request where the owner of a candidate finds it, and wakes the owner.
    ///
    /// It stands until the owner takes it, the asker withdraws it or the asker's session ends. It is repeated in the same
    /// session until it has surely happened.
    ///
    /// - Parameters:
    ///   - candidate: The name of the znode in the queue.
    ///   - queue: The queue's directory.
    /// - Returns: The request's path, for ``withdraw(_:session:)``; `nil` when there is no such candidate.
    /// - Throws: `ZooKeeperError`, with code `.sessionExpired` when the session has ended; `CancellationError`, and the
    ///   request may stand.
    /// - Complexity: Two requests, one after the other.
    package func send(
        to candidate: String, inQueue queue: String, client: ZooKeeperClient, session: LiveSession
    ) async throws -> String? {
        let uuid = ContenderName.makeUUID(using: client.randomness)
        let path = "\(Self.directory(ofQueue: queue))/\(candidate).\(uuid)"
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
                // The directory of the requests, or the candidate.
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

    /// Takes a request back, whether it was heard or not.
    package static func withdraw(_ path: String, session: LiveSession) {
        session.cleanUp(.node(path: path))
    }

    /// Reads the requests to a candidate, which stay.
    ///
    /// - Returns: Each with its path, in the order of their creation; those of an unknown kind are left out.
    /// - Throws: `ZooKeeperError`, `CancellationError`.
    /// - Complexity: One listing, and when there is something one flight of a request for each.
    package static func read(
        for candidate: String, inQueue queue: String, session: LiveSession
    ) async throws -> [(path: String, request: ContenderRequest)] {
        let directory = directory(ofQueue: queue)
        let listing = try await session.flight(.children(path: directory))[0]
        if case .failure(let error) = listing, error.code == .noNode { return [] }
        let paths = try listing.get().children.names.filter { $0.hasBytePrefix(candidate + ".") }
            .map { ZNodePath.child($0, of: directory) }
        let results = try await session.flight(paths.map { .data(path: $0) })
        let found = zip(paths, results).compactMap { path, result -> (path: String, ContenderRequest, ZXID)? in
            guard case .success(.data(let data, let stat)) = result else { return nil }
            return ContenderRequest(data).map { (path, $0, stat.czxid) }
        }
        return found.sorted { $0.2 < $1.2 }.map { ($0.path, $0.1) }
    }

    /// Reads the requests to a candidate, and takes them away.
    ///
    /// - Returns: In the order of their creation; those of an unknown kind are taken away as well.
    /// - Throws: `ZooKeeperError`, `CancellationError`; what was not read stands.
    /// - Complexity: One listing, and when there is something one flight of two requests for each.
    package static func take(
        for candidate: String, inQueue queue: String, session: LiveSession
    ) async throws -> [ContenderRequest] {
        let directory = directory(ofQueue: queue)
        let listing = try await session.flight(.children(path: directory))[0]
        if case .failure(let error) = listing, error.code == .noNode { return [] }
        let paths = try listing.get().children.names.filter { $0.hasBytePrefix(candidate + ".") }
            .map { ZNodePath.child($0, of: directory) }
        guard !paths.isEmpty else { return [] }
        let results = try await session.flight(paths.flatMap { [.data(path: $0), .delete(path: $0)] })
        let found = stride(from: 0, to: results.count, by: 2).compactMap { index -> (ContenderRequest, ZXID)? in
            guard case .success(.data(let data, let stat)) = results[index] else { return nil }
            return ContenderRequest(data).map { ($0, stat.czxid) }
        }
        return found.sorted { $0.1 < $1.1 }.map(\.0)
    }
}
