internal import Logging
internal import Synchronization
internal import ZooKeeper

/// One run of a participant, which performs the actions of the election's state machine.
struct ElectionLoop {
    typealias Machine = ElectionStateMachine

    let election: Election
    private var grant: Contender.Grant?
    private var term: Term?
    private let clock: any MonotonicClock

    init(election: Election) {
        self.election = election
        clock = election.client.clock
    }

    mutating func run() async -> ZooKeeperError? {
        var machine = Machine(configuration: election.configuration, seed: election.client.randomness.next())
        if election.stopping.value != nil { machine.stop() }
        var action = machine.start()
        while true {
            if case .finish(let error) = action { return error }
            let event = await perform(action)
            if election.stopping.value != nil { machine.stop() }
            action = machine.handle(event)
        }
    }

    private mutating func perform(_ action: Machine.Action) async -> Machine.Event {
        switch action {
        case .stand: await stand()
        case .takeOffice: await takeOffice()
        case .lead: await lead()
        case .giveUp: await giveUp()
        case .pause(let failure): await pause(failure)
        case .finish: .stopped
        }
    }

    private mutating func stand() async -> Machine.Event {
        election.tell(.waiting(position: nil))
        switch await election.waitForTurn() {
        case .success(let grant):
            self.grant = grant
            return .elected
        case .failure(let error):
            return error is CancellationError ? .stopped : Self.event(for: error) { .rejected($0) }
        }
    }

    private mutating func takeOffice() async -> Machine.Event {
        guard let grant else { return .officeLost }
        var backoff = election.client.makeBackoff(.quick)
        while grant.held.lossReason == nil {
            do {
                let election = election
                guard
                    let token = try await grant.untilLost(
                        or: election.stopping, { try await election.takeOffice(grant) })
                else { return election.stopping.value == nil ? .officeLost : .stopped }
                term = election.makeTerm(grant, token: token)
                return .inOffice
            } catch let error as ZooKeeperError where error.isTransientInSession {
                try? await clock.sleep(until: clock.now + backoff.pause())
            } catch let error as ZooKeeperError where error.code == .noNode || error.code == .sessionExpired {
                return .officeLost
            } catch {
                return Self.event(for: error) { .officeRefused($0) }
            }
        }
        return .officeLost
    }

    private mutating func lead() async -> Machine.Event {
        guard let term else { return .officeLost }
        let began = clock.now
        let end = await election.lead(in: term)
        return .termEnded(end, lasted: clock.now - began)
    }

    private mutating func giveUp() async -> Machine.Event {
        await grant?.giveUp(client: election.client)
        term?.over.set(())
        (grant, term) = (nil, nil)
        return .gaveUp
    }

    private func pause(_ failure: ElectionFailure) async -> Machine.Event {
        election.tell(.failed(failure))
        if failure.isShortTerm {
            election.logger.info("Pauses between short terms", metadata: ["zookeeper.reason": "\(failure.reason)"])
        } else {
            election.logger.warning(
                "Rejoins the election after a failure", metadata: ["zookeeper.reason": "\(failure.reason)"])
        }
        let (clock, stopping) = (clock, election.stopping)
        let end = clock.now + failure.retryDelay
        await race({ _ = try? await clock.sleep(until: end) }, { _ = try? await stopping.wait() })
        return .paused
    }

    private static func event(
        for error: any Error, or event: (Machine.Problem) -> Machine.Event
    ) -> Machine.Event {
        if let error = error as? ZooKeeperError, [.clientStopped, .authenticationFailed].contains(error.code) {
            return .clientEnded(error)
        }
        return event(Machine.Problem(error))
    }
}

extension ElectionStateMachine.Problem {
    init(_ error: any Error) {
        self.init(reason: "\(error)", isUnauthorized: (error as? ZooKeeperError)?.code == .noAuth)
    }
}

extension Contender.Grant {
    /// Runs an operation until the grant is lost or a signal is set, and returns `nil` in these two cases.
    fileprivate func untilLost<Value: Sendable>(
        or stop: OneShot<Void>, _ operation: @escaping @Sendable () async throws -> Value
    ) async throws -> Value? {
        let held = held
        return try await race(
            { try await operation() },
            {
                _ = try await held.waitForLoss()
                return nil
            },
            {
                try await stop.wait()
                return nil
            })
    }
}
