import CZooKeeper
import Dispatch
import Synchronization
import ZooKeeperTransport

extension CConnection {
    /// The credentials that the server has not accepted yet.
    struct Credentials {
        /// The credentials that the library has not accepted yet; it accepts none between two attempts to connect.
        var awaiting: [(credential: TransportCredential, request: PendingRequest)] = []
        /// The number of credentials that the library has accepted and the server has not answered.
        var unanswered = 0
        /// The requests to perform when all credentials are answered, in order: a transaction that came before that,
        /// and all that were submitted after it.
        var deferred: [@Sendable () -> Void] = []
        /// Whether deferred requests are being performed.
        var isPerforming = false

        /// Whether a request must wait.
        ///
        /// The library does not allow transactions while a credential is unanswered. A refusal would look like a lost
        /// connection, and no event would tell the client that the next attempt can succeed.
        func defers(_ request: TransportRequest) -> Bool {
            if isPerforming || !deferred.isEmpty { return true }
            guard case .multi = request else { return false }
            return unanswered > 0
        }

        /// Removes and returns the next deferred request to perform.
        mutating func next() -> (@Sendable () -> Void)? {
            isPerforming = unanswered == 0 && !deferred.isEmpty
            return isPerforming ? deferred.removeFirst() : nil
        }
    }

    /// Records the credentials for every connection, before there is a handle to pass them to.
    func awaitCredentials(_ list: [TransportCredential]) {
        for credential in list {
            let request = state.withLock { state in
                state.registry.add { slot, number in
                    PendingRequest(slot: slot, number: number, connection: self, results: nil) { _ in }
                }
            }
            credentials.withLock { $0.awaiting.append((credential, request)) }
        }
    }

    /// Adds a credential.
    ///
    /// If the library does not accept it now, it waits for the next connection.
    func add(_ credential: TransportCredential, request: PendingRequest, to handle: Handle) {
        credentials.withLock { $0.awaiting.append((credential, request)) }
        addAwaitingCredentials(to: handle)
    }

    func addAwaitingCredentials(to handle: Handle) {
        let refused = credentials.withLock { credentials in
            var refused: [(PendingRequest, ReplyCode)] = []
            while let (credential, request) = credentials.awaiting.first {
                let code = Self.give(credential, request: request, to: handle)
                if code == .invalidState, !handle.isUnrecoverable { break }
                credentials.awaiting.removeFirst()
                switch code {
                case .invalidState, .badArguments: refused.append((request, code))
                // With any other code, the library has kept the credential and will answer.
                default: credentials.unanswered += 1
                }
            }
            return refused
        }
        for (request, code) in refused { request.finish(TransportReply(code: code)) }
    }

    private static func give(
        _ credential: TransportCredential, request: PendingRequest, to handle: Handle
    ) -> ReplyCode {
        let code = unsafe withData(credential.credential) { bytes, count in
            unsafe zoo_add_auth(
                handle.pointer, credential.scheme, bytes, count, credentialAnswered, request.context)
        }
        return ReplyCode(rawValue: code)
    }

    fileprivate func credentialWasAnswered(_ request: PendingRequest, code: ReplyCode) {
        credentials.withLock { $0.unanswered = max($0.unanswered - 1, 0) }
        request.finish(TransportReply(code: code))
        while let perform = credentials.withLock({ $0.next() }) { perform() }
    }
}

/// Handles the answer to a credential by dispatching it to the connection's queue.
///
/// It is called on the library's I/O thread or on the closing thread, sometimes with the lock of the handle held.
private func credentialAnswered(code: Int32, data: UnsafeRawPointer?) {
    guard let request = unsafe PendingRequest.from(data) else { return }
    request.connection.queue.async {
        request.connection.credentialWasAnswered(request, code: ReplyCode(rawValue: code))
    }
}
