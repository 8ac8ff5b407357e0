internal import ZooKeeperTransport

/// Decides how a client obtains a session and keeps it, through lost connections, unreachable servers and expiry.
///
/// It has two inputs. Events of the transport are handled as they happen; each returns ``Effect``s to perform
/// immediately. The client's run loop asks for the ``nextStep(now:)``, performs it, reports the outcome, and asks
/// again.
///
/// The C client reconnects by itself among the addresses that it was given. If that takes too long, the connection is
/// replaced by a new one for the same session: names are resolved again, and the pauses between such rounds grow.
struct SessionStateMachine: Sendable {
    /// The actions to perform immediately, in this order.
    enum Effect: Equatable {
        /// A new session was granted.
        case beginSession(Session)
        /// The same session was resumed, with this timeout.
        ///
        /// `isReplaced` is `true` if it was resumed on another connection object, where the server has no watches of
        /// the previous one.
        case resumeSession(Session, isReplaced: Bool)
        case suspend(Session)
        /// The session has ended at the server.
        case endSession(Session)
        case fail(ZooKeeperError)
        /// The run loop has something to do.
        case wake
    }

    /// The next step of the run loop.
    enum Step: Equatable {
        case resolve
        /// Create a connection and open it.
        case open(addresses: [String], session: TransportSession?)
        case close(TransportClose)
        /// Wait for an event, at most until the given time.
        case wait(until: MonotonicInstant?)
        /// Report that there has been no connection for this time.
        case reportOutage(lasting: Duration)
        /// Fail because there was no first connection within this limit.
        case giveUp(after: Duration)
        case finish(ZooKeeperError?)
    }

    private enum Link: Equatable {
        case none
        /// Opened, and not connected so far.
        case opening(since: MonotonicInstant)
        case connected
        /// Lost; the C client reconnects by itself.
        case lost(since: MonotonicInstant)
        /// To be closed in the next step of the run loop.
        case closing(TransportClose)
    }

    /// A time without a connection.
    private struct Outage {
        let since: MonotonicInstant
        var nextReport: MonotonicInstant
    }

    private let requestedTimeout: Duration
    private let initialConnectionTimeout: Duration?
    private let reportDelay: Duration?
    private var outage: Outage?
    private var link = Link.none
    private var session: TransportSession?
    private var epoch = 0
    private var hasConnectionOfSession = false
    private var addresses: [String]?
    /// Whether the names of the current servers are being resolved.
    private var isResolving = false
    private var backoff: Backoff
    private var pausedUntil: MonotonicInstant?
    private var failure: ZooKeeperError?
    private var isStopping = false
    private var keepsSession = false

    /// Creates a state machine.
    ///
    /// - Parameters:
    ///   - initialConnectionTimeout: The limit for the first connection; `nil` waits without limit.
    ///   - reportDelay: The time without a connection after which the outage is reported; `nil` never reports it.
    ///   - seed: The seed for the jitter of the pauses between rounds.
    init(
        requestedTimeout: Duration, initialConnectionTimeout: Duration? = nil, reportDelay: Duration? = nil,
        seed: UInt64
    ) {
        self.requestedTimeout = requestedTimeout
        self.initialConnectionTimeout = initialConnectionTimeout
        self.reportDelay = reportDelay
        backoff = Backoff(.reconnect(sessionTimeout: requestedTimeout), seed: seed)
    }

    /// The current session, until it is known to have ended.
    var current: Session? { session.map(publicSession) }

    /// The ID and the password with which another connection can resume the session.
    var credential: (id: Int64, password: [UInt8])? { session.map { ($0.id, $0.password) } }

    // MARK: The run loop

    mutating func nextStep(now: MonotonicInstant) -> Step {
        if isStopping || failure != nil {
            if link == .none { return .finish(failure) }
            link = .closing(keepsSession ? .keepSession : .endSession)
        }
        if let step = outageStep(now: now) { return step }
        switch link {
        case .none:
            if let pausedUntil, now < pausedUntil { return .wait(until: earlier(pausedUntil, nextOutageStep)) }
            guard let addresses else {
                isResolving = true
                return .resolve
            }
            return .open(addresses: addresses, session: session)
        case .opening(let since), .lost(let since):
            let giveUp = since + requestedTimeout * Self.round
            guard now >= giveUp else { return .wait(until: earlier(giveUp, nextOutageStep)) }
            pause(from: now)
            // Events that arrive while it is being closed are ignored.
            link = .closing(.keepSession)
            return .close(.keepSession)
        case .connected: return .wait(until: nil)
        case .closing(let end): return .close(end)
        }
    }

    /// The interval of further reports of an outage after the first one.
    private static let reportInterval = Duration.seconds(60)

    private mutating func outageStep(now: MonotonicInstant) -> Step? {
        guard link != .connected, !isStopping, failure == nil else { return nil }
        if outage == nil { outage = Outage(since: now, nextReport: now + (reportDelay ?? .zero)) }
        guard let outage else { return nil }
        if epoch == 0, let initialConnectionTimeout, now >= outage.since + initialConnectionTimeout {
            return .giveUp(after: initialConnectionTimeout)
        }
        guard reportDelay != nil, now >= outage.nextReport else { return nil }
        self.outage?.nextReport = now + Self.reportInterval
        return .reportOutage(lasting: now - outage.since)
    }

    /// The time when a client without a connection has to report the outage, or to give up.
    var nextOutageStep: MonotonicInstant? {
        guard let outage else { return nil }
        let limit = epoch == 0 ? initialConnectionTimeout.map { outage.since + $0 } : nil
        let report = reportDelay == nil ? nil : outage.nextReport
        return limit.map { earlier($0, report) } ?? report
    }

    private func earlier(_ instant: MonotonicInstant, _ other: MonotonicInstant?) -> MonotonicInstant {
        min(instant, other ?? instant)
    }

    /// The fraction of the timeout after which a connection that is not established (again) is replaced.
    ///
    /// It is slightly more than the time that the C client allows for one address that does not answer.
    private static let round = 0.7

    /// Records the resolved addresses; addresses of servers that were replaced in the meantime are ignored.
    mutating func resolved(_ addresses: [String], now: MonotonicInstant) {
        guard isResolving else { return }
        isResolving = false
        if addresses.isEmpty {
            pause(from: now)
        } else {
            self.addresses = addresses
        }
    }

    /// Records that the connection is about to be opened; returns whether it is still wanted.
    mutating func willOpen(now: MonotonicInstant) -> Bool {
        guard link == .none, addresses != nil else { return false }
        link = .opening(since: now)
        hasConnectionOfSession = false
        addresses = nil
        return true
    }

    /// Records that the connection is closed.
    ///
    /// - Parameter isKept: Whether the close certainly did not end the session at the server.
    mutating func closed(isKept: Bool) -> [Effect] {
        defer { link = .none }
        guard !isKept, link == .closing(.keepSession), let ended = session else { return [] }
        session = nil
        return [.endSession(publicSession(ended))]
    }

    // MARK: Events

    mutating func connected(_ granted: TransportSession) -> [Effect] {
        guard isOpen else { return [] }
        let isSame = session?.id == granted.id
        let isReplaced = isSame && !hasConnectionOfSession
        var effects: [Effect] = []
        if !isSame {
            if let session { effects.append(.endSession(publicSession(session))) }
            epoch += 1
        }
        session = granted
        hasConnectionOfSession = true
        link = .connected
        outage = nil
        backoff.reset()
        pausedUntil = nil
        effects.append(
            isSame
                ? .resumeSession(publicSession(granted), isReplaced: isReplaced)
                : .beginSession(publicSession(granted)))
        return effects + [.wake]
    }

    mutating func disconnected(now: MonotonicInstant) -> [Effect] {
        guard link == .connected, let session else { return [] }
        link = .lost(since: now)
        return [.suspend(publicSession(session)), .wake]
    }

    mutating func expired() -> [Effect] {
        guard isOpen else { return [] }
        link = .closing(.keepSession)
        guard let ended = session else { return [.wake] }
        session = nil
        return [.endSession(publicSession(ended)), .wake]
    }

    mutating func authenticationFailed() -> [Effect] {
        fail(ZooKeeperError(.authenticationFailed, message: "the server refused a credential"))
    }

    /// Records that there was no first connection in time, unless there is one after all.
    mutating func connectionTimedOut(_ error: ZooKeeperError) -> [Effect] {
        epoch == 0 && !isStopping && failure == nil ? fail(error) : []
    }

    mutating func openFailed(_ text: String, now: MonotonicInstant) -> [Effect] {
        guard isOpen else { return [] }
        link = .closing(.keepSession)
        pause(from: now)
        return [.wake]
    }

    /// Leaves the current connection for other servers, with the same session.
    mutating func replaceConnection() -> [Effect] {
        addresses = nil
        isResolving = false
        pausedUntil = nil
        guard isOpen else { return [.wake] }
        let lost: [Effect] = link == .connected ? session.map { [.suspend(publicSession($0))] } ?? [] : []
        link = .closing(.keepSession)
        return lost + [.wake]
    }

    /// Stops the client.
    ///
    /// - Parameter keepsSession: Whether nothing is sent to the server, so that the session expires by itself.
    mutating func stop(keepsSession: Bool = false) -> [Effect] {
        isStopping = true
        self.keepsSession = keepsSession
        return [.wake]
    }

    private mutating func fail(_ error: ZooKeeperError) -> [Effect] {
        failure = failure ?? error
        var effects: [Effect] = []
        if let session { effects.append(.endSession(publicSession(session))) }
        session = nil
        return effects + [.fail(error), .wake]
    }

    private mutating func pause(from now: MonotonicInstant) {
        pausedUntil = now + backoff.pause()
    }

    private var isOpen: Bool {
        switch link {
        case .opening, .connected, .lost: true
        case .none, .closing: false
        }
    }

    private func publicSession(_ session: TransportSession) -> Session {
        Session(id: SessionID(rawValue: session.id), epoch: epoch, timeout: .milliseconds(Int64(session.timeout)))
    }
}
