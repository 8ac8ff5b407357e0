import CZooKeeper
import Dispatch
import Synchronization
import ZooKeeperTransport

/// A connection through one handle of the C library.
///
/// While its handle is open, the library references the connection. An open connection therefore exists until its owner
/// closes it.
final class CConnection: TransportConnection {
    /// The maximum number of requests in flight; a further request is refused with `ZMARSHALLINGERROR`, and nothing is
    /// sent.
    ///
    /// With 65 536 or more, the C library closes the connection from whatever thread submits. The client's own limit is
    /// far lower.
    static let requestsInFlightLimit = 60_000

    let endpoint: TransportEndpoint
    /// The queue that opens and closes the handle, and completes credentials.
    ///
    /// These block, or must not run on the thread on which the library calls back.
    let queue = DispatchQueue(label: "zookeeper.connection")
    let state: Mutex<State>
    let credentials = Mutex(Credentials())

    init(endpoint: TransportEndpoint, receive: @escaping @Sendable (TransportEvent) -> Void) {
        self.endpoint = endpoint
        state = Mutex(State(receive: receive))
    }

    func submit(_ request: TransportRequest, completion: @escaping @Sendable (TransportReply) -> Void) {
        let isDeferred = credentials.withLock { credentials in
            guard credentials.defers(request) else { return false }
            credentials.deferred.append { self.perform(request, completion: completion) }
            return true
        }
        if !isDeferred { perform(request, completion: completion) }
    }

    private func perform(_ request: TransportRequest, completion: @escaping @Sendable (TransportReply) -> Void) {
        let results: TransactionResults?
        if case .multi(let operations) = request {
            results = TransactionResults(for: operations)
        } else {
            results = nil
        }
        let admission = state.withLock { state in
            state.admit { slot, number in
                PendingRequest(
                    slot: slot, number: number, connection: self, results: results, completion: completion)
            }
        }
        switch admission {
        case .admitted(let handle, let pending):
            let code = start(request, pending: pending, on: handle)
            leave(pending, code: code)
        case .refused(let code):
            completion(TransportReply(code: code))
        }
    }

    /// The code for a request that the server will not answer any more.
    var finalCode: ReplyCode { state.withLock { $0.finalCode } }

    /// Removes a request from the registry; returns `false` if the registry does not contain it any more.
    func forget(_ pending: PendingRequest) -> Bool {
        state.withLock { $0.registry.remove(pending) }
    }

    /// Ends a call on the handle.
    ///
    /// If the library refused the call, it will not answer it, so it is answered here.
    private func leave(_ pending: PendingRequest, code: ReplyCode) {
        let isRefused = state.withLock { state in
            state.leave()
            return code != .ok && state.registry.remove(pending)
        }
        if isRefused {
            pending.complete(TransportReply(code: code))
        }
    }
}

extension CConnection {
    enum Phase {
        case made, opening, open, failed, closing, closed
    }

    enum Admission {
        case admitted(Handle, PendingRequest)
        case refused(ReplyCode)
    }

    /// The gate to the handle, and the requests that have passed it.
    struct State {
        var phase = Phase.made
        var handle: Handle?
        var registry = RequestRegistry()
        var receive: (@Sendable (TransportEvent) -> Void)?
        /// The code for a request that the library leaves unanswered.
        var finalCode = ReplyCode.closing
        /// The number of calls on the handle that are in progress.
        private var callsInside = 0
        private var whenEmpty: DispatchSemaphore?

        init(receive: @escaping @Sendable (TransportEvent) -> Void) {
            self.receive = receive
        }

        /// Admits a call on the handle; ``leave()`` ends it.
        ///
        /// Before there is a session to send it to, the request fails as if its connection were lost; nothing was sent.
        mutating func admit(_ make: (_ slot: Int, _ number: UInt64) -> PendingRequest) -> Admission {
            switch phase {
            case .made, .opening, .failed: return .refused(.connectionLoss)
            case .closing, .closed: return .refused(.closing)
            case .open: break
            }
            guard let handle else { return .refused(.connectionLoss) }
            guard registry.count < CConnection.requestsInFlightLimit else {
                return .refused(.marshallingError)
            }
            callsInside += 1
            return .admitted(handle, registry.add(make))
        }

        mutating func leave() {
            callsInside -= 1
            if callsInside == 0 { whenEmpty?.signal() }
        }

        /// Returns the semaphore that is signalled when the last call has ended, or `nil` if no call is in progress.
        ///
        /// The phase must be one in which no call can start.
        mutating func waitForCalls() -> DispatchSemaphore? {
            guard callsInside > 0 else { return nil }
            let semaphore = DispatchSemaphore(value: 0)
            whenEmpty = semaphore
            return semaphore
        }
    }
}
