import CZooKeeper
import Dispatch
import Synchronization
import ZooKeeperTransport

/// A connection over one handle of the C library.
///
/// While its handle is open the library holds the connection. An open connection therefore lives until it has been closed,
/// and closing it is its owner's duty.
final class CConnection: TransportConnection {
    /// A request over this number in flight is refused with `ZMARSHALLINGERROR`, and nothing is sent.
    ///
    /// From 65 536 on the C library closes the connection from whatever thread submits. The client's own bound is far lower.
    static let requestsInFlightLimit = 60_000

    let endpoint: TransportEndpoint
    /// Opens and closes, and completes credentials: what blocks, and what may not run where the library calls back.
    let queue = DispatchQueue(label: "zookeeper.connection")
    let state: Mutex<State>
    let credentials = Mutex(Credentials())

    init(endpoint: TransportEndpoint, receive: @escaping @Sendable (TransportEvent) -> Void) {
        self.endpoint = endpoint
        state = Mutex(State(receive: receive))
    }

    func submit(_ request: TransportRequest, completion: @escaping @Sendable (TransportReply) -> Void) {
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

    /// What a request gets that the server will not answer any more.
    var finalCode: ReplyCode { state.withLock { $0.finalCode } }

    /// Takes a request out of the registry; false if it is not there any more.
    func forget(_ pending: PendingRequest) -> Bool {
        state.withLock { $0.registry.remove(pending) }
    }

    /// Ends a call on the handle.
    ///
    /// A call that the library refused will not be answered by it, so it is answered here.
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

    /// The gate to the handle and the requests that went through it.
    struct State {
        var phase = Phase.made
        var handle: Handle?
        var registry = RequestRegistry()
        var receive: (@Sendable (TransportEvent) -> Void)?
        /// What a request gets that the library leaves unanswered.
        var finalCode = ReplyCode.closing
        /// Calls that are being made on the handle.
        private var callsInside = 0
        private var whenEmpty: DispatchSemaphore?

        init(receive: @escaping @Sendable (TransportEvent) -> Void) {
            self.receive = receive
        }

        /// Lets a call on the handle begin; ``leave()`` ends it.
        ///
        /// Before there is a session to send it to the request fails as if its connection were lost; nothing was sent.
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

        /// What to wait for until the last call has left, or `nil` if none is being made.
        ///
        /// The phase lets no other begin.
        mutating func waitForCalls() -> DispatchSemaphore? {
            guard callsInside > 0 else { return nil }
            let semaphore = DispatchSemaphore(value: 0)
            whenEmpty = semaphore
            return semaphore
        }
    }
}
