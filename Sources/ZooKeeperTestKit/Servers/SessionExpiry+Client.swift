public import ZooKeeper

/// Ends a client's session on its own servers, as if the client had been away for longer than its session timeout.
///
/// It works with any ensemble, also one that this kit has not started. The ephemeral znodes of the session are gone when
/// this function returns. The server closes the client's connection, and the client learns about the end of its session
/// when it reconnects. To wait for that, follow `ZooKeeperClient.states`.
///
/// The request takes the client's path to the ensemble. If that path leads through a ``FaultProxy`` that disturbs the
/// connection, use ``TestServer/expireSession(of:)`` or ``TestEnsemble/expireSession(of:)``.
///
/// - Parameter client: The client whose session ends. At least one of its servers has an IPv4 address.
/// - Throws: ``TestKitError`` with code `.sessionNotFound` if the client has no session or its session has already ended,
///   or `.noResponse` if none of its servers has an IPv4 address or answers.
/// - Complexity: 2 requests in 2 round trips, on a new connection. Repeated up to 9 times if the client reconnects first.
public func expireSession(of client: ZooKeeperClient) async throws {
    let servers = client.servers
    var generator = SystemRandomNumberGenerator()
    let (addresses, failures) = await resolveServers(servers, using: SystemNameResolver(), generator: &generator)
    // The kit's own connection knows IPv4 only.
    let reachable = addresses.filter { !$0.hasPrefix("[") }
    guard !reachable.isEmpty else {
        let names = servers.map(\.description).joined(separator: ", ")
        throw TestKitError(
            .noResponse, (["no server has an IPv4 address: \(names)"] + failures).joined(separator: "; "))
    }
    try await endSession(of: client) {
        try await expireSession(id: $0, password: $1, on: reachable.joined(separator: ","))
    }
}

extension TestServer {
    /// Ends a client's session on the server, as if the client had been away for longer than its session timeout.
    ///
    /// The ephemeral znodes of the session are gone when this method returns. The server closes the client's
    /// connection, and the client learns about the end of its session when it reconnects. To wait for that, follow
    /// `ZooKeeperClient.states`.
    ///
    /// - Parameter client: The client whose session ends.
    /// - Throws: ``TestKitError`` with code `.sessionNotFound` if the client has no session or its session has already
    ///   ended, or `.noResponse` if the server does not answer.
    /// - Complexity: 2 requests in 2 round trips, on a new connection. Repeated up to 9 times if the client reconnects
    ///   first.
    public func expireSession(of client: ZooKeeperClient) async throws {
        try await endSession(of: client) { try await self.expireSession(id: $0, password: $1) }
    }
}

extension TestEnsemble {
    /// Ends a client's session on the server; see ``TestServer/expireSession(of:)``.
    ///
    /// - Parameter client: The client whose session ends.
    /// - Throws: ``TestKitError`` with code `.sessionNotFound` or `.noResponse`.
    /// - Complexity: As ``TestServer/expireSession(of:)``.
    public func expireSession(of client: ZooKeeperClient) async throws {
        try await endSession(of: client) { try await self.expireSession(id: $0, password: $1) }
    }
}

/// Ends a session and retries if the client reconnects before the session is closed.
private func endSession(
    of client: ZooKeeperClient, expire: (_ id: Int64, _ password: [UInt8]) async throws -> Void
) async throws {
    guard let (id, password) = client.sessionCredential else {
        throw TestKitError(.sessionNotFound, "the client has no session")
    }
    for attempt in 1... {
        do {
            return try await expire(id, password)
        } catch let error as TestKitError where error.code == .noResponse && attempt < 10 {
            continue
        } catch let error as TestKitError where error.code == .sessionNotFound && attempt > 1 {
            return
        }
    }
}
