internal import ZooKeeperTransport

/// Decides how a client comes to a session and keeps it, through lost connections, absent servers and expiry.
///
/// Two things drive it. Events of the transport, as they happen: each gives what must be done at once, in ``Effect``s.
/// And the client's run loop, which asks for its ``nextStep(now:)``, performs it, tells the outcome, and asks again.
///
/// The C client reconnects by itself among the addresses that it was given. When that takes too long, the connection is
/// replaced by a new one for the same session: names are resolved again, and pauses between such rounds grow.
struct SessionStateMachine: Sendable {
    /// What to do at once, in this order.
    enum Effect: Equatable {
        /// A new session stands.
        case beginSession(Session)
        /// The same session stands again, with this timeout; `isReplaced` when on another connection object, where
        /// the server has forgotten the watches of the one before.
        case resumeSession(Session, isReplaced: Bool)
        case suspend(Session)
        /// The session has ended at the server.
        case endSession(Session)
        case fail(ZooKeeperError)
        /// The run loop has something to do.
        case wake
    }

    /// What the run loop does next.
    enum Step: Equatable {
        case resolve
        /// Make a connection and open it.
        case open(addresses: [String], session: TransportSession?)
        case close(TransportClose)
        /// Wait for an event, at most until an instant.
        case wait(until: MonotonicInstant?)
        /// Report that there has been no connection for a while.
        case reportOutage(lasting: Duration)
        /// Fail: there was no first connection within this limit.
        case giveUp(after: Duration)
        case finish(ZooKeeperError?)
    }

    private enum Link: Equatable {
        case none
        /// Opened, and not connected so far.
        case opening(since: MonotonicInstant)
        case connected
        /// Lost; the C client tries by itself.
        case lost(since: MonotonicInstant)
        /// To be closed as soon as the run loop comes by.
        case closing(TransportClose)
    }

    /// How long a client is without a connection.
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
    /// Names of the present servers are being resolved.
    private var isResolving = false
    private var backoff: Backoff
    private var pausedUntil: MonotonicInstant?
    private var failure: ZooKeeperError?
    private var isStopping = false
    private var keepsSession = false

    /// - Parameters:
    ///   - initialConnectionTimeout: The limit for the first connection; `nil` waits without limit.
    ///   - reportDelay: How long a client may be without a connection before that is reported; `nil` never reports it.
    ///   - seed: What the pauses between rounds are shortened by.
    init(
        requestedTimeout: Duration, initialConnectionTimeout: Duration? = nil, reportDelay: Duration? = nil,
        seed: UInt64
    ) {
        self.requestedTimeout = requestedTimeout
        self.initialConnectionTimeout = initialConnectionTimeout
        self.reportDelay = reportDelay
        backoff = Backoff(.reconnect(sessionTimeout: requestedTimeout), seed: seed)
    }

    /// The present session, while it is not known to have ended.
    var current: Session? { session.map(publicSession) }

    /// What another connection needs to take the session over.
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
            // What it says while it is being closed comes too late.
            link = .closing(.keepSession)
            return .close(.keepSession)
        case .connected: return .wait(until: nil)
        case .closing(let end): return .close(end)
        }
    }

    /// How often an outage is reported after the first time.
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

    /// When a client without a connection has to report that, or to give up.
    var nextOutageStep: MonotonicInstant? {
        guard let outage else { return nil }
        let limit = epoch == 0 ? initialConnectionTimeout.map { outage.since + $0 } : nil
        let report = reportDelay == nil ? nil : outage.nextReport
        return limit.map { earlier($0, report) } ?? report
    }

    private func earlier(_ instant: MonotonicInstant, _ other: MonotonicInstant?) -> MonotonicInstant {
        min(instant, other ?? instant)
    }

    /// The part of the timeout that a connection gets to come (back) before it is replaced: a little more than the C
    /// client gives one address that does not answer.
    private static let round = 0.7

    /// The names are resolved; addresses of servers that have been replaced meanwhile are not used.
    mutating func resolved(_ addresses: [String], now: MonotonicInstant) {
        guard isResolving else { return }
        isResolving = false
        if addresses.isEmpty {
            pause(from: now)
        } else {
            self.addresses = addresses
        }
    }

    /// The connection is about to be opened; says whether it is still wanted.
    mutating func willOpen(now: MonotonicInstant) -> Bool {
        guard link == .none, addresses != nil else { return false }
        link = .opening(since: now)
        hasConnectionOfSession = false
        addresses = nil
        return true
    }

    /// The connection is closed.
    ///
    /// - Parameter isKept: Whether the session was certainly not ended at the server by the close.
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

    /// There was no first connection in time.
    mutating func connectionTimedOut(_ error: ZooKeeperError) -> [Effect] { fail(error) }

    mutating func openFailed(_ text: String, now: MonotonicInstant) -> [Effect] {
        guard isOpen else { return [] }
        link = .closing(.keepSession)
        pause(from: now)
        return [.wake]
    }

    /// Leave the present connection for other servers, with the same session.
    mutating func replaceConnection() -> [Effect] {
        addresses = nil
        isResolving = false
        pausedUntil = nil
        guard isOpen else { return [.wake] }
        let lost: [Effect] = link == .connected ? session.map { [.suspend(publicSession($0))] } ?? [] : []
        link = .closing(.keepSession)
        return lost + [.wake]
    }

    /// - Parameter keepsSession: Whether the server is told nothing, so that the session ends by itself.
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
