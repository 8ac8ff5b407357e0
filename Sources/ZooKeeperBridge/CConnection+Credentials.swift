import CZooKeeper
import Dispatch
import Synchronization
import ZooKeeperTransport

extension CConnection {
    /// The credentials on their way to the server.
    struct Credentials {
        /// Not yet accepted by the library, which takes none between two attempts to connect.
        var awaiting: [(credential: TransportCredential, request: PendingRequest)] = []
        /// Accepted by the library and not answered by the server.
        var unanswered = 0
    }

    /// Notes the credentials that every connect presents, before there is a handle to give them to.
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

    /// Begins to add a credential.
    ///
    /// It waits for the next connection if the library takes none now.
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
                // With any other code the library has kept the credential, and will answer.
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
    }
}

/// Comes on the library's I/O thread or on the closing one, at times with the handle's lock held: it only hands over.
private func credentialAnswered(code: Int32, data: UnsafeRawPointer?) {
    guard let request = unsafe PendingRequest.from(data) else { return }
    request.connection.queue.async {
        request.connection.credentialWasAnswered(request, code: ReplyCode(rawValue: code))
    }
}
