internal import Synchronization
package import ZooKeeper

/// One attempt to come to the front of a queue: performs what ``ContenderStateMachine`` decides.
///
/// Everything happens on the threads that deliver answers and events, without a task of its own; tasks are made only to
/// wait for a session, for missing parents, and for a pause.
package final class Contender: Sendable {
    /// What was won: the own znode, held, in front of the queue.
    package struct Grant: Sendable {
        package var held: HeldNode
        package var name: ContenderName
        /// What has to be deleted at the end.
        package var cleanUp: CleanUp
    }

    typealias Outcome = ContenderStateMachine.Outcome

    /// How the attempt ended, with what is still being cleaned up.
    struct End: Sendable {
        var outcome: Outcome
        var grant: Grant?
        var cleanUp: OneShot<Void>?
    }

    struct State: Combining {
        var machine: ContenderStateMachine
        var session: LiveSession?
        var held: HeldNode?
        var watches: [OneShotWatch] = []
        var waiting: Task<Void, Never>?
        var backoff: Backoff
        var events: [@Sendable (inout ContenderStateMachine) -> ContenderStateMachine.Action?] = []
        var isPerforming = false
        /// How many watches on the own znode there have been: only the last one's event counts.
        var ownWatches = 0
        /// The own znode's data version that was told last.
        var seen: (name: String, version: Int32) = ("", 0)
        var onPlace: (@Sendable (_ candidate: String, _ inFront: Int) -> Void)?
    }

    let client: ZooKeeperClient
    let directory: String
    /// What its errors are about.
    private let recipe: RecipeError.Recipe
    let data: [UInt8]
    let onWrite: (@Sendable (_ candidate: String, _ data: [UInt8]) -> Void)?
    let end = OneShot<End>()
    let state: Mutex<State>

    /// - Parameters:
    ///   - directory: The queue's directory; it is created when it is missing.
    ///   - recipe: What errors are about.
    ///   - data: What the own znode holds.
    ///   - waits: Whether to wait for the contenders in front, or to join only a queue that is free.
    ///   - onWrite: Called when somebody has written the own znode while it waits, as a ``ContenderRequest`` does, with its
    ///     name and data, on the delivering thread. Once it is granted, ``HeldNode/onWrite(_:)`` tells.
    package init(
        client: ZooKeeperClient, directory: String, recipe: RecipeError.Recipe = .lock, policy: ContenderPolicy,
        data: [UInt8], waits: Bool = true,
        onWrite: (@Sendable (_ candidate: String, _ data: [UInt8]) -> Void)? = nil
    ) {
        self.onWrite = onWrite
        self.client = client
        self.directory = directory
        self.recipe = recipe
        self.data = data
        let backoff = client.makeBackoff(.quick)
        state = Mutex(State(machine: ContenderStateMachine(policy: policy, waits: waits), backoff: backoff))
    }

    /// Calls a closure with the own znode's name and how many stand in front of it, each time that the contender has found
    /// its place and must wait; on the delivering thread.
    package func onPlace(_ observer: @escaping @Sendable (_ candidate: String, _ inFront: Int) -> Void) {
        state.withLock { $0.onPlace = observer }
    }

    /// Takes the place that the holder has offered, if the offer still stands and this contender waits.
    ///
    /// The next thing that happens is the grant, when the holder has gone.
    ///
    /// - Parameters:
    ///   - holder: The holder's name.
    ///   - candidate: The own name that it was offered to.
    ///   - offer: The path of the offer, which is deleted in the same transaction.
    package func takePlace(of holder: ContenderName, as candidate: String, offer: String) {
        handle { $0.receiveOffer(of: holder, to: candidate, offer: offer) }
    }

    /// The session in which the contender is at it; `nil` before the first.
    package var session: LiveSession? { state.withLock { $0.session } }

    /// Joins the queue and waits until everybody in conflict in front has gone.
    ///
    /// The place in the queue outlives lost connections; after the session's end the contender joins again at the end.
    ///
    /// - Parameter deadline: When to give up, whatever is going on; `nil` for never.
    /// - Returns: A grant whose ``HeldNode/isValid`` was true.
    /// - Throws: ``RecipeError`` with code `.timedOut`, `.notAvailable` or `.queueNumbersExhausted`; ``ZooKeeperError``
    ///   such as `.noAuth`; `CancellationError`. The own znode is gone then, or, without a connection, is deleted when
    ///   there is one again.
    /// - Complexity: One flight of two requests when nobody is in front.
    package func acquire(until deadline: MonotonicInstant? = nil) async throws -> Grant {
        try Task.checkCancellation()
        let timer = deadline.map { deadline in
            Task { [client] in
                try await client.clock.sleep(until: deadline)
                giveUp(.timedOut)
            }
        }
        defer { timer?.cancel() }
        let end: End = await withTaskCancellationHandler {
            receive(.start, step: nil)
            return await self.end.valueUncancelled()
        } onCancel: {
            giveUp(.cancelled)
        }
        if let cleanUp = end.cleanUp {
            let patience: Duration = end.outcome == Outcome.timedOut ? .milliseconds(150) : .seconds(2)
            await client.waitWhileConnected(forWork: cleanUp, atMost: patience)
        }
        return try grant(end)
    }

    private func grant(_ end: End) throws -> Grant {
        switch end.outcome {
        case .granted:
            if let grant = end.grant { return grant }
            throw CancellationError()
        case .cancelled: throw CancellationError()
        case .notAvailable: throw RecipeError(.notAvailable, in: recipe, path: directory)
        case .timedOut: throw RecipeError(.timedOut, in: recipe, path: directory)
        case .numbersExhausted:
            throw RecipeError(
                .queueNumbersExhausted, in: recipe, path: directory, message: ContenderName.beyondTheLimitMessage)
        case .failed(let error): throw error
        }
    }
}

extension Contender {
    /// The path of a child of the queue's directory.
    func path(_ name: String) -> String { ZNodePath.child(name, of: directory) }

    func receive(_ input: ContenderStateMachine.Input, step: Int?) {
        handle { $0.receive(input, step: step) }
    }

    /// Ends the attempt, if it has not ended.
    func giveUp(_ outcome: ContenderStateMachine.Outcome) {
        handle { $0.giveUp(outcome) }
    }

    /// Handles events one after the other, and performs the actions in their order.
    ///
    /// A second thread, and an answer that comes within a performance, leave their event to the one that is at it.
    func handle(_ event: @escaping @Sendable (inout ContenderStateMachine) -> ContenderStateMachine.Action?) {
        state.withLock { $0.events.append(event) }
        state.combine { state -> (ContenderStateMachine.Action?, Int)? in
            guard !state.events.isEmpty else { return nil }
            let action = state.events.removeFirst()(&state.machine)
            return (action, state.machine.step)
        } perform: { action, step in
            if let action { perform(action, step: step) }
        }
    }
}
