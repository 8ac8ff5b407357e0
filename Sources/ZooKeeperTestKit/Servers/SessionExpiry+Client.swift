public import ZooKeeper

extension TestServer {
    /// Ends a client's session for real, as if the client had been away for longer than its timeout.
    ///
    /// The session's ephemeral nodes are gone when this returns. The client learns of it with its next reconnect, which
    /// the server forces; await its `ZooKeeperClient.states`.
    ///
    /// - Throws: ``TestKitError`` with code `.sessionNotFound` when the client has no session or it has ended already,
    ///   `.noAnswer` when the server does not answer.
    public func expireSession(of client: ZooKeeperClient) async throws {
        try await endSession(of: client) { try await self.expireSession(id: $0, password: $1) }
    }
}

extension TestEnsemble {
    /// Ends a client's session for real: see ``TestServer/expireSession(of:)``.
    ///
    /// - Throws: ``TestKitError`` with code `.sessionNotFound` or `.noAnswer`.
    public func expireSession(of client: ZooKeeperClient) async throws {
        try await endSession(of: client) { try await self.expireSession(id: $0, password: $1) }
    }
}

/// A client that reconnects quickly takes its session back before it is closed; then it is taken over again.
private func endSession(
    of client: ZooKeeperClient, expire: (_ id: Int64, _ password: [UInt8]) async throws -> Void
) async throws {
    guard let (id, password) = client.sessionCredential else {
        throw TestKitError(.sessionNotFound, "the client has no session")
    }
    for attempt in 1... {
        do {
            return try await expire(id, password)
        } catch let error as TestKitError where error.code == .noAnswer && attempt < 10 {
            continue
        } catch let error as TestKitError where error.code == .sessionNotFound && attempt > 1 {
            return
        }
    }
}
