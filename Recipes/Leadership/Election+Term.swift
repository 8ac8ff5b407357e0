internal import Logging
internal import Synchronization
internal import ZooKeeper

// Waiting for the turn, and leading.
extension Election {
    /// Joins the queue and waits until this participant is at its front, or has to stop.
    ///
    /// - Returns: The grant, or `CancellationError` if the participant has to stop. In the latter case, no candidate
    ///   znode is left.
    func waitForTurn() async -> Result<Contender.Grant, any Error> {
        let contender = makeContender()
        defer { shared.withLock { $0.waiting = nil } }
        return await outcome(of: { try await contender.acquire() }) { [stopping] in
            try await race(
                { try await stopping.wait() },
                { await self.attend { try await self.answer(for: contender) } },
                { await self.seekTakeover() })
        }
    }

    /// The kind of the terms in metrics: only a partition group has hooks.
    private var grantKind: GrantKind { hooks == nil ? .leader : .partition }

    private func makeContender() -> Contender {
        let contender = Contender(
            client: client, directory: path, recipe: .election, policy: .exclusive(kind), kind: grantKind,
            data: Array(id.utf8)
        ) { [weak self] candidate, data in
            guard let self else { return }
            noteWrite(data, candidate: candidate, session: shared.withLock { $0.waiting }?.session)
        }
        contender.onPlace { [weak self, weak contender] candidate, inFront in
            guard let self, let session = contender?.session else { return }
            let before = shared.withLock { shared in
                defer { shared.waiting = (candidate, session) }
                return shared.waiting?.candidate
            }
            // If the candidate znode had to be created again, it lost its position in between.
            if let before, before != candidate { tell(.waiting(position: nil)) }
            tell(.waiting(position: inFront))
        }
        return contender
    }

    func makeTerm(_ grant: Contender.Grant, token: FencingToken) -> Term {
        let number = shared.withLock { shared in
            shared.terms += 1
            return shared.terms
        }
        return Term(number: number, token: token, path: path, grant: grant, clock: client.clock)
    }

    private enum Step: Sendable {
        case returned(ElectionStateMachine.TermEnd)
        /// The closure must return now.
        case over
        /// The leader wants to end the term.
        case ending(Term.Ending)
        case nothing
    }

    /// Runs the closure, cancels it when the term is lost or has to end, and returns when the closure has ended.
    func lead(in term: Term) async -> ElectionStateMachine.TermEnd {
        begin(term)
        let holding = Holding([term.held])
        let meter = client.recipeMetrics.granted(grantKind, holding, since: term.requested, by: client.clock)
        let end = await withTaskGroup(of: Step.self) { group -> ElectionStateMachine.TermEnd? in
            group.addTask { [lead] in
                do {
                    try await lead(term)
                    return .returned(.returned)
                } catch {
                    return .returned(.failed(.init(error)))
                }
            }
            group.addTask { (try? await term.waitUntilLost()) == nil ? .nothing : .over }
            group.addTask { (try? await term.mustReturn.wait()) == nil ? .nothing : .over }
            group.addTask { (try? await term.ending.wait()).map { .ending($0) } ?? .nothing }
            group.addTask {
                await self.attend { try await self.answer(in: term) }
                return .nothing
            }
            var end: ElectionStateMachine.TermEnd?
            for await step in group {
                switch step {
                case .nothing: continue
                case .ending where grace > .zero:
                    group.addTask { [clock = client.clock, grace] in
                        try? await clock.sleep(until: clock.now + grace)
                        return .over
                    }
                    continue
                case .returned(let returned): end = returned
                case .ending: break
                case .over: noLongerLeads(term)
                }
                group.cancelAll()
            }
            return end
        }
        term.finish()
        meter.end(of: holding)
        noLongerLeads(term)
        if let reason = term.held.lossReason {
            logger.warning("The leadership was lost", metadata: ["zookeeper.reason": "\(reason)"])
            return .lost
        }
        return term.ending.value == nil ? end ?? .returned : .resigned
    }

    private func begin(_ term: Term) {
        let ending = shared.withLock { shared in
            shared.term = term
            return shared.stop == .atOnce ? shared.ending : nil
        }
        term.held.onWrite { [weak self, weak term] data in
            guard let term else { return }
            self?.noteWrite(data, candidate: term.candidate.string, session: term.held.session)
        }
        // Every call to `stop` from now on finds the term.
        if let ending { term.end(ending) }
        logger.info("Leads", metadata: ["zookeeper.token": "\(term.fencingToken)"])
        tell(.leading(number: term.number, token: term.fencingToken))
    }

    /// Reports a state to the followers if it differs from the last one.
    func tell(_ state: LeaderState) {
        guard broadcast.current != state else { return }
        broadcast.send(state)
        hooks?.onState(state)
    }

    private func noLongerLeads(_ term: Term) {
        let wasLeading = shared.withLock { shared in
            defer { shared.term = nil }
            return shared.term != nil
        }
        if wasLeading { tell(.waiting(position: nil)) }
    }
}
