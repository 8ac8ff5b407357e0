internal import ZooKeeper

/// Decides how one participant joins a queue, recovers its position after failures, and acquires its turn.
///
/// The machine has no side effects: it takes inputs and returns one action at a time. The answer to an action carries
/// the action's ``step``. Answers with an earlier step are late and ignored. One machine serves one acquisition, across
/// as many sessions as needed.
///
/// A name is valid only in the session that created it: every new session starts with a new UUID.
package struct ContenderStateMachine: Sendable {
    private enum State {
        /// Not started.
        case idle
        /// Waiting for a connected session, to resume this if the session is still the same.
        case awaitingSession(Resume)
        /// Listing the queue before joining it.
        case looking
        /// The create and the list requests have been sent.
        case joining
        /// The queue's directory is being created.
        case creatingParents
        /// The outcome of the create request is unknown; searching for the znode.
        case finding
        /// Znodes with the participant's prefix were found; reading their owners.
        case inspecting([String])
        /// In the queue; listing it.
        case listing(Own)
        /// In the queue; setting the watch on the predecessor.
        case watching(Own, ContenderName)
        /// In the queue, behind the predecessor.
        case waiting(Own, ContenderName)
        /// At the front; checking that a valid session holds the participant's znode.
        case holding(Own)
        /// At the front; confirming the session.
        case proving(Own)
        /// At the front; waiting before confirming the session again.
        case pausing(Own)
        /// Granted, given up or failed.
        case finished
    }

    /// The operation that a lost connection has interrupted.
    private enum Resume {
        case begin, join([String]), find, inspect([String]), list(Own, [String]), watch(Own, ContenderName), prove(Own)
    }

    private let policy: ContenderPolicy
    private let waits: Bool
    private var state = State.idle
    private var session: (epoch: Int, id: SessionID)?
    private var uuid = ""
    /// Whether this session may have a znode of this participant that was never observed.
    private var isUncertain = false
    private var parentAttempts = 0
    /// Znodes of this participant whose deletion was requested; they do not block it.
    private var discarded: Set<ZNodeName> = []
    /// Znodes with the same sequence number that were created later, and so are behind this participant.
    private var laterTies: Set<ZNodeName> = []
    /// Whether the current predecessor cannot be read.
    private var watchesDirectory = false
    /// Whether znodes with the participant's prefix may exist in addition to the one that was granted.
    package var needsPrefixCleanUp: Bool { isUncertain || !discarded.isEmpty }

    /// An offer that arrived while there was no connection.
    private var missedOffer: (holder: ContenderName, candidate: String, offer: String)?

    /// The number of participants of any kind ahead at the last listing.
    package private(set) var inFront = 0

    /// The number of the last action.
    package private(set) var step = 0

    /// Creates a state machine.
    ///
    /// - Parameters:
    ///   - policy: Decides which participants ahead block this one.
    ///   - waits: Whether to wait in the queue; if `false`, the queue is listed first, and joined only if it is free.
    package init(policy: ContenderPolicy, waits: Bool) {
        self.policy = policy
        self.waits = waits
    }

    /// The participant's prefix in the current session.
    package var prefix: String { ContenderName.prefix(uuid: uuid) }

    /// Handles an input and returns the next action.
    ///
    /// - Parameter step: The step of the action that the input answers; `nil` for ``Input/start``.
    /// - Returns: `nil` if there is nothing to do, which is also the case for late answers.
    package mutating func receive(_ input: Input, step answered: Int? = nil) -> Action? {
        if let answered, answered != step { return nil }
        guard let action = decide(input) else { return nil }
        step += 1
        return action
    }

    /// Handles the deletion of the participant's own znode.
    package mutating func receiveOwnGone(_ name: String) -> Action? {
        switch state {
        case .watching(let own, _) where own.name.string == name, .waiting(let own, _) where own.name.string == name:
            step += 1
            return list(own)
        default: return nil
        }
    }

    /// Handles an offer of the holder, which is at the front, to hand over its position.
    ///
    /// The new znode gets the holder's sequence number. It is behind the holder because it is younger, and ahead of all
    /// others. From now on the server may know two znodes of this participant, until one of them has been found.
    ///
    /// - Parameters:
    ///   - holder: The name of the holder's znode.
    ///   - candidate: The name of the znode that the offer was made to. If it is not the current one, nothing happens.
    ///   - offer: The path of the offer, which the holder can withdraw.
    package mutating func receiveOffer(of holder: ContenderName, to candidate: String, offer: String) -> Action? {
        switch state {
        case .listing(let own) where own.name.string == candidate,
            .watching(let own, _) where own.name.string == candidate,
            .waiting(let own, _) where own.name.string == candidate:
            isUncertain = true
            let name = own.name.named(beside: holder)
            return .move(Move(from: candidate, to: name, holder: holder.string, offer: offer))
        case .awaitingSession:
            // The connection was lost after the offer was read, and the offer is not reported again.
            missedOffer = (holder, candidate, offer)
            return nil
        default: return nil
        }
    }

    /// Handles an offer that was missed during a disconnection, after the position in the queue was found again.
    package mutating func receiveMissedOffer() -> Action? {
        guard let missed = missedOffer, case .waiting(let own, _) = state else { return nil }
        missedOffer = nil
        guard own.name.string == missed.candidate else { return nil }
        return receiveOffer(of: missed.holder, to: missed.candidate, offer: missed.offer)
    }

    /// Ends the attempt, in any state.
    package mutating func giveUp(_ outcome: Outcome) -> Action? {
        if case .finished = state { return nil }
        step += 1
        return finish(outcome)
    }
}

// MARK: Transitions

extension ContenderStateMachine {
    private mutating func decide(_ input: Input) -> Action? {
        switch (state, input) {
        case (.idle, .start): awaitSession(.begin, isRetry: false)
        case (.awaitingSession(let resume), .session(let epoch, let id, let uuid)):
            begin(epoch: epoch, id: id, uuid: uuid, resume)
        case (.awaitingSession, .noSession(let error)): finish(.failed(error))
        case (.looking, .looked(let result)): looked(result)
        case (.joining, .joined(let create, let listing)): joined(create, listing)
        case (.creatingParents, .parentsCreated(let result)): parentsCreated(result)
        case (.finding, .found(let result)): found(result)
        case (.inspecting(let names), .inspected(let stats)): inspected(stats, names)
        case (.listing(let own), .listed(let result)): listed(result, own)
        case (.watching(let own, let predecessor), .watched(let result)): watched(result, own, predecessor)
        case (.watching(let own, let predecessor), .predecessorEvent(let event)): happened(event, own, predecessor)
        case (.waiting(let own, let predecessor), .predecessorEvent(let event)): happened(event, own, predecessor)
        case (.holding(let own), .held(let isValid)), (.proving(let own), .held(let isValid)):
            held(isValid, own)
        case (.proving(let own), .proved(let result)): proved(result, own)
        case (.pausing(let own), .paused): prove(own)
        default: nil
        }
    }

    private mutating func begin(epoch: Int, id: SessionID, uuid: String, _ resume: Resume) -> Action {
        guard epoch == session?.epoch else {
            // The znodes of the old session are deleted with it, so nothing known about them applies here.
            session = (epoch, id)
            self.uuid = uuid
            (isUncertain, discarded, laterTies) = (false, [], [])
            return waits ? join([]) : look()
        }
        return switch resume {
        case .begin: waits ? join([]) : look()
        case .join(let discarding): join(discarding)
        case .find: find()
        case .inspect(let names): inspect(names)
        case .list(let own, let discarding): list(own, discarding: discarding)
        case .watch(let own, let predecessor): watch(own, predecessor)
        case .prove(let own): prove(own)
        }
    }

    private mutating func looked(_ result: Result<[String], ZooKeeperError>) -> Action {
        switch result {
        case .success(let names):
            let isFree = !names.compactMap(ContenderName.init).contains { policy.conflicts(with: $0.kind) }
            return isFree ? join([]) : finish(.notAvailable)
        case .failure(let error) where error.code == .noNode: return join([])
        case .failure(let error): return retry(.begin, after: error)
        }
    }

    private mutating func joined(
        _ create: Result<Own, ZooKeeperError>, _ listing: Result<[String], ZooKeeperError>
    ) -> Action {
        switch create {
        case .success(let own):
            guard !own.name.isBeyondTheLimit else { return finish(.numbersExhausted, own: own) }
            state = .listing(own)
            return listed(listing, own)
        case .failure(let error) where error.code == .noNode: return createParents(after: error)
        case .failure(let error) where error.code == .sessionExpired:
            isUncertain = true
            return awaitSession(.begin, isRetry: false)
        case .failure(let error) where error.isOutcomeUnknown:
            isUncertain = true
            return awaitSession(.find, isRetry: true)
        case .failure(let error):
            // The create request was not executed, so there is nothing to delete.
            state = .awaitingSession(.join([]))
            return retry(.join([]), after: error)
        }
    }

    private mutating func parentsCreated(_ result: Result<Void, ZooKeeperError>) -> Action {
        switch result {
        case .success: join([])
        case .failure(let error): retry(.join([]), after: error)
        }
    }

    private mutating func found(_ result: Result<[String], ZooKeeperError>) -> Action {
        switch result {
        case .success(let names):
            let mine = mine(in: names)
            return mine.isEmpty ? join([]) : inspect(mine.map(\.string))
        case .failure(let error) where error.code == .noNode: return join([])
        case .failure(let error): return retry(.find, after: error)
        }
    }

    private mutating func inspected(
        _ stats: [(name: String, stat: Result<ZNodeStat, ZooKeeperError>)], _ names: [String]
    ) -> Action {
        var standing: [Own] = []
        var foreign: [String] = []
        for (string, result) in stats {
            switch result {
            case .success(let stat):
                guard let name = ContenderName(string), stat.ephemeralOwner == session?.id else {
                    foreign.append(string)
                    continue
                }
                standing.append(Own(name: name, czxid: stat.czxid))
            case .failure(let error) where error.code == .noNode: continue
            case .failure(let error): return retry(.inspect(names), after: error)
            }
        }
        guard let own = standing.min(by: { ($0.name.number, $0.czxid) < ($1.name.number, $1.czxid) }) else {
            return join(foreign)
        }
        guard !own.name.isBeyondTheLimit else { return finish(.numbersExhausted) }
        return list(own, discarding: foreign + standing.filter { $0 != own }.map(\.name.string))
    }

    private mutating func listed(_ result: Result<[String], ZooKeeperError>, _ own: Own) -> Action {
        switch result {
        case .success(let names): return findPlace(of: own, in: names.compactMap(ContenderName.init))
        // The directory was deleted, and the participant's znode with it.
        case .failure(let error) where error.code == .noNode: return createParents(after: error)
        case .failure(let error): return retry(.list(own, []), after: error)
        }
    }

    /// Determines which participant ahead blocks this one; this is the decision of the queue.
    private mutating func findPlace(of own: Own, in contenders: [ContenderName]) -> Action {
        let (mine, strangers) = split(contenders)
        guard mine.contains(own.name) else { return mine.isEmpty ? join([]) : inspect(mine.map(\.string)) }
        let others = mine.filter { $0 != own.name && !discarded.contains($0.string) }
        if others.contains(where: { $0.number < own.name.number }) { return inspect(mine.map(\.string)) }
        if !others.isEmpty { return list(own, discarding: others.map(\.string)) }
        guard let predecessor = nearestConflict(before: own, in: strangers) else {
            state = .holding(own)
            return .hold(own)
        }
        inFront = strangers.count { $0.number <= own.name.number && !laterTies.contains($0.string) }
        return waits ? watch(own, predecessor) : finish(.notAvailable, own: own)
    }

    /// Separates the participant's own names from those of others.
    private func split(_ contenders: [ContenderName]) -> (mine: [ContenderName], strangers: [ContenderName]) {
        let prefix = prefix
        var (mine, strangers): ([ContenderName], [ContenderName]) = ([], [])
        for contender in contenders {
            if contender.isOwn(prefix: prefix) { mine.append(contender) } else { strangers.append(contender) }
        }
        return (mine, strangers)
    }

    /// Returns the nearest participant ahead that conflicts.
    ///
    /// At the end of the server's counter, participants can have the same sequence number. Each of these counts as
    /// ahead unless it is known to be younger.
    private func nearestConflict(before own: Own, in strangers: [ContenderName]) -> ContenderName? {
        strangers.lazy
            .filter { other in
                guard policy.conflicts(with: other.kind) else { return false }
                guard other.number == own.name.number else { return other.number < own.name.number }
                return !laterTies.contains(other.string)
            }
            .max { $0.number == $1.number ? $0.string < $1.string : $0.number < $1.number }
    }

    private mutating func watched(
        _ result: Result<ZNodeStat, ZooKeeperError>, _ own: Own, _ predecessor: ContenderName
    ) -> Action? {
        switch result {
        case .success(let stat):
            if predecessor.number == own.name.number, stat.czxid > own.czxid {
                laterTies.insert(predecessor.string)
                return list(own)
            }
            state = .waiting(own, predecessor)
            return nil
        case .failure(let error) where error.code == .noNode: return list(own)
        case .failure(let error) where error.code == .noAuth && !watchesDirectory:
            watchesDirectory = true
            return .watchDirectory(predecessor.string)
        case .failure(let error): return retry(.watch(own, predecessor), after: error)
        }
    }

    private mutating func happened(
        _ event: PredecessorEvent, _ own: Own, _ predecessor: ContenderName
    ) -> Action {
        switch event {
        case .changed: watch(own, predecessor)
        case .gone: list(own)
        case .sessionEnded: awaitSession(.begin, isRetry: false)
        }
    }

    private mutating func held(_ isValid: Bool, _ own: Own) -> Action {
        guard isValid else {
            if case .proving = state {
                state = .pausing(own)
                return .pause
            }
            return prove(own)
        }
        state = .finished
        return .finish(.granted(own), cleanUp: nil)
    }

    private mutating func proved(_ result: Result<Void, ZooKeeperError>, _ own: Own) -> Action {
        switch result {
        case .success: .hold(own)
        case .failure(let error) where error.code == .noNode: list(own)
        case .failure(let error): retry(.prove(own), after: error)
        }
    }
}

// MARK: Entering states

extension ContenderStateMachine {
    private mutating func awaitSession(_ resume: Resume, isRetry: Bool) -> Action {
        state = .awaitingSession(resume)
        return .awaitSession(isRetry: isRetry)
    }

    /// Retries after errors of the connection or of an overloaded server; all other errors are final.
    private mutating func retry(_ resume: Resume, after error: ZooKeeperError) -> Action {
        if error.isTransientInSession { return awaitSession(resume, isRetry: true) }
        return error.code == .sessionExpired ? awaitSession(.begin, isRetry: false) : finish(.failed(error))
    }

    private mutating func look() -> Action {
        state = .looking
        return .look
    }

    private mutating func join(_ discarding: [String]) -> Action {
        state = .joining
        return .join(base: ContenderName.base(uuid: uuid, kind: policy.kind), discarding: discarding)
    }

    /// Creates the parents, up to 10 times.
    ///
    /// The server may delete empty containers before the first child exists.
    private mutating func createParents(after error: ZooKeeperError) -> Action {
        parentAttempts += 1
        state = .creatingParents
        guard parentAttempts <= 10 else { return finish(.failed(error)) }
        return .createParents
    }

    private mutating func find() -> Action {
        state = .finding
        return .find
    }

    private mutating func inspect(_ names: [String]) -> Action {
        isUncertain = true
        state = .inspecting(names)
        return .inspect(names)
    }

    private mutating func list(_ own: Own, discarding: [String] = []) -> Action {
        discarded.formUnion(Set(names: discarding))
        state = .listing(own)
        return .list(own: own.name.string, discarding: discarding)
    }

    private mutating func watch(_ own: Own, _ predecessor: ContenderName) -> Action {
        watchesDirectory = false
        state = .watching(own, predecessor)
        return .watch(predecessor.string, own: own.name.string)
    }

    private mutating func prove(_ own: Own) -> Action {
        state = .proving(own)
        return .prove(own)
    }

    private mutating func finish(_ outcome: Outcome, own: Own? = nil) -> Action {
        let cleanUp = cleanUp(own: own)
        state = .finished
        return .finish(outcome, cleanUp: cleanUp)
    }

    /// Returns the znodes that may exist in this state and must be deleted.
    private func cleanUp(own: Own?) -> CleanUpKind? {
        if session == nil { return nil }
        if isUncertain || !discarded.isEmpty { return .prefix(prefix) }
        if let own { return .node(own.name.string) }
        switch state {
        case .idle, .looking, .creatingParents, .finished: return nil
        case .awaitingSession(.begin), .awaitingSession(.join): return nil
        case .joining, .finding, .inspecting, .awaitingSession(.find), .awaitingSession(.inspect):
            return .prefix(prefix)
        case .listing(let own), .watching(let own, _), .waiting(let own, _), .holding(let own), .proving(let own),
            .pausing(let own), .awaitingSession(.list(let own, _)), .awaitingSession(.watch(let own, _)),
            .awaitingSession(.prove(let own)):
            return .node(own.name.string)
        }
    }

    private func mine(in names: [String]) -> [ContenderName] {
        split(names.compactMap(ContenderName.init)).mine
    }
}
