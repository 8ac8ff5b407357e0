import CommandLineSupport
import Glibc
import Synchronization
import SystemSupport
import ZooKeeper
import ZooKeeperRecipes

/// A command that runs behind a gate: it is paused for each window, and started again if the gate is lost.
final class GatedCommand: Sendable {
    let words: [String]
    let grace: Duration
    let method: PauseMethod
    let variables: [String: String]
    /// The end of the command, for the exit status.
    let held: HeldCommand

    /// Creates a command, which ``run(behind:of:)`` starts.
    ///
    /// - Parameters:
    ///   - words: The command and its arguments.
    ///   - grace: The time from SIGTERM to SIGKILL, if the command has to end.
    ///   - method: How the command is paused.
    ///   - variables: Variables for the command.
    init(words: [String], grace: Duration, method: PauseMethod, variables: [String: String]) {
        (self.words, self.grace, self.method, self.variables) = (words, grace, method, variables)
        held = HeldCommand(words: words, grace: grace)
    }

    /// Starts the command when the gate is open, and starts it again after each end that was not its own.
    ///
    /// - Throws: ``CommandEnding`` if the command ended by itself without success; ``CommandRefusal`` if it could not be
    ///   started; `CancellationError`; ``RecipeError`` with code `.stopped` if the gate has ended.
    func run(behind gate: EventGate, of client: ZooKeeperClient) async throws {
        while true {
            held.record(nil)
            let permit = try await gate.enter()
            switch try await GatedRun.run(self, behind: gate, permit, session: client.state.session?.id) {
            case .ended(let ending):
                held.record(ending)
                try Task.checkCancellation()
                if ending.status != 0 { throw ending }
                return
            case .paused:
                try Task.checkCancellation()
            case .lost(let reason):
                try Task.checkCancellation()
                let why = reason.map { "the gate was lost: \($0)" } ?? "no server confirmed the gate in time"
                Output.notice("the command was ended, because \(why); it starts again when the gate is open")
            }
        }
    }
}

/// One process of a command behind a gate, from its start to its end.
private struct GatedRun {
    enum Outcome: Sendable {
        /// The command ended by itself, or because this program ends.
        case ended(CommandEnding)
        /// The command was ended for a window.
        case paused
        /// The command was ended because its permit was lost, or because its validity was nearly over.
        case lost(LossReason?)
    }

    typealias End = Result<(ending: CommandEnding, isAtDeadline: Bool), any Error>

    enum Event: Sendable {
        /// An input of the state machine that needs no more.
        case input(PauseStateMachine.Input)
        case gateChanged
        case entered(EventPermit)
        /// The request with this number has not been answered for a while.
        case unanswered(Int)
        /// The command, or a shell command for it, has answered the request with this number.
        case answered(Int, (any Error)?)
        case cancelled
        case ended(End)
    }

    /// The time after which a missing acknowledgement is reported.
    private static let reportDelay = Duration.seconds(5)
    /// The pause before a shell command that failed is run again.
    private static let retryDelay = Duration.seconds(1)

    let command: GatedCommand
    let gate: EventGate
    let process: GuardedProcess
    let place: GatedPlace
    let input: AsyncStream<Event>.Continuation
    let changes: PendingChange
    var machine = PauseStateMachine()
    var isEnding = false
    /// The task that sends deadlines to the guard while there is a permit.
    var sender: Task<Void, Never>?
    /// The tasks that wait for the gate, make a request, or watch for its answer.
    var tasks: [Task<Void, Never>] = []
    var requests = 0

    /// Starts the command, and pauses and resumes it until it has ended; the permit is released.
    static func run(
        _ command: GatedCommand, behind gate: EventGate, _ permit: EventPermit, session: SessionID?
    ) async throws -> Outcome {
        let place = GatedPlace(permit)
        defer { place.leave() }
        var deadlines = CommandDeadlines(permit, grace: command.grace)
        let first = deadlines.next()
        var variables: [String: String?] = command.variables.mapValues { $0 }
        variables.merge(HeldCommand.variables(of: permit, until: first.kill)) { $1 }
        variables["ZK_SESSION_ID"] = .some(session?.description)
        let isAcknowledged = if case .signals = command.method { true } else { false }
        // Each request has at most a few events, and changes of the gate have one at a time.
        let (events, input) = AsyncStream.makeStream(of: Event.self)
        let changes = PendingChange()
        let process = try ProgramSignals.shared.start { [variables] () throws(CommandRefusal) in
            try GuardedProcess(
                words: command.words, variables: variables, grace: command.grace, deadline: first,
                lines: isAcknowledged ? .acknowledgements : .none, token: permit.fencingToken,
                mayContinue: { place.mayContinue() })
        }
        defer { ProgramSignals.shared.forget(process) }
        let states = gate.states
        let follower = Task { for await _ in states where changes.begin() { input.yield(.gateChanged) } }
        defer { follower.cancel() }
        detachThread {
            let end = Result { try process.awaitEnd({ _ in }, acknowledged: { input.yield(.answered($0, nil)) }) }
            input.yield(.ended(end))
        }
        // A task of its own, because it must not end at a cancellation before the command has ended.
        let loop = Task { [deadlines] in
            var run = GatedRun(
                command: command, gate: gate, process: process, place: place, input: input, changes: changes)
            run.send(deadlines)
            let end = await run.follow(events)
            return (end: end, isPaused: run.machine.state == .pausing && command.method == .restart)
        }
        let (end, isPaused) = await withTaskCancellationHandler {
            await loop.value
        } onCancel: {
            input.yield(.cancelled)
        }
        let (ending, isAtDeadline) = try end.get()
        if isAtDeadline { return .lost(await place.awaitLoss()) }
        return isPaused ? .paused : .ended(ending)
    }

    // MARK: Events

    private mutating func follow(_ events: AsyncStream<Event>) async -> End {
        for await event in events {
            switch event {
            case .ended(let end):
                await finish(events)
                return end
            case .cancelled: terminate()
            case .entered(let permit):
                place.take(permit)
                await handle(.entered)
            case .gateChanged:
                changes.end()
                await handle(.gateChanged)
            case .answered(let number, let error) where number == requests: await handleAnswer(error)
            case .unanswered(let number) where number == requests: reportUnanswered()
            case .input(let input): await handle(input)
            case .answered, .unanswered: break
            }
        }
        return .failure(CancellationError())
    }

    private mutating func handle(_ input: PauseStateMachine.Input) async {
        guard !isEnding else { return }
        switch machine.handle(input, isClosing: gate.state == .draining) {
        case .pause: pause()
        case .resume: await resume()
        case .leave: await leave()
        case .backOff:
            start { input in
                try await Task.sleep(for: Self.retryDelay)
                input.yield(.input(.retry))
            }
        case nil: break
        }
    }

    private mutating func handleAnswer(_ error: (any Error)?) async {
        guard let error else { return await handle(.acknowledged) }
        // The deadline ends the shell command together with the command itself.
        guard !isEnding, !(error is CancellationError || error is DeadlineReached) else { return }
        let option = machine.state == .pausing ? "--on-pause" : "--on-resume"
        Output.report(lines: "the command of \(option) failed: \(ZKRecipes.explanation(of: error)); trying again")
        await handle(.failed)
    }

    private func reportUnanswered() {
        guard !isEnding else { return }
        let word = machine.state == .pausing ? "paused" : "resumed"
        let text =
            switch command.method {
            case .restart: "the command has not ended after SIGTERM: it receives SIGKILL after --grace"
            case .signals(let pause, _) where machine.state == .pausing && !process.isPrepared(for: pause):
                "the command does not handle the signal that pauses it, and has not received it"
            case .signals:
                "the command has not written the line `\(word)` to the descriptor ZKRECIPES_ACK_FD"
            case .shell: "the shell command has not ended after which the command counts as \(word)"
            }
        let effect = machine.state == .pausing ? "the window waits for it" : "it cannot be paused until then"
        Output.report("\(text); \(effect)")
    }

    // MARK: Requests

    private mutating func pause() {
        begin()
        switch command.method {
        case .restart: process.send(.terminate)
        case .signals(let number, _):
            let (process, request) = (process, requests)
            start { _ in
                // A command that has just started could not handle the signal, and would be ended by it.
                while !process.isPrepared(for: number) { try await Task.sleep(for: .milliseconds(20)) }
                process.expectAcknowledgement("paused", of: request)
                process.send(.signal(number, nil))
            }
        case .shell(let text, _): runShell(text)
        }
    }

    /// Asks the command to resume, after the guard has received a deadline.
    private mutating func resume() async {
        guard let permit = place.permit else { return }
        begin()
        var deadlines = CommandDeadlines(permit, grace: command.grace)
        let first = deadlines.next()
        process.publish(permit.validUntil == nil ? nil : first.kill, permit.fencingToken)
        let isSent = process.send(.deadline(first))
        // Replaces a sender from before the pause.
        await stopSender()
        send(deadlines)
        if place.takeStop() { process.send(.proceed) }
        switch command.method {
        case .restart: break
        case .signals(_, let number):
            process.expectAcknowledgement("resumed", of: requests)
            process.send(.signal(number, first))
        case .shell(_, let text):
            if isSent { runShell(text) } else { await handle(.failed) }
        }
    }

    /// Releases the permit of a command that has paused, and waits for the next one.
    private mutating func leave() async {
        forgetRequests()
        await stopSender()
        process.publish(nil, place.permit?.fencingToken ?? FencingToken(rawValue: 0))
        process.send(.deadline(.never))
        place.leave()
        let gate = gate
        start { input in input.yield(.entered(try await gate.enter())) }
    }

    private mutating func runShell(_ text: String) {
        guard let permit = place.permit else { return }
        let (command, process, number) = (command, process, requests)
        start { input in
            while process.id == 0 { try await Task.sleep(for: .milliseconds(1)) }
            var variables: [String: String?] = command.variables.mapValues { $0 }
            variables["ZK_COMMAND_PID"] = "\(process.id)"
            let shell = HeldCommand(words: ["/bin/sh", "-c", text], grace: command.grace)
            do {
                try await shell.run(under: permit, variables: variables)
                input.yield(.answered(number, nil))
            } catch {
                input.yield(.answered(number, error))
            }
        }
    }

    /// Begins a request: earlier ones count no more, and its answer is expected within a time.
    private mutating func begin() {
        forgetRequests()
        let number = requests
        start { input in
            try await Task.sleep(for: Self.reportDelay)
            input.yield(.unanswered(number))
        }
    }

    /// Forgets the last request, which has been answered; only its timer may still run.
    private mutating func forgetRequests() {
        requests += 1
        for task in tasks { task.cancel() }
        tasks = []
    }

    private mutating func start(
        _ body: @escaping @Sendable (AsyncStream<Event>.Continuation) async throws -> Void
    ) {
        let input = input
        tasks.append(Task { try? await body(input) })
    }

    // MARK: Deadlines and the end

    private mutating func send(_ deadlines: CommandDeadlines) {
        sender = Task { [process] in await deadlines.send(to: process) }
    }

    private mutating func stopSender() async {
        sender?.cancel()
        await sender?.value
        sender = nil
    }

    /// Ends the command because this program ends.
    private mutating func terminate() {
        isEnding = true
        for task in tasks { task.cancel() }
        process.send(place.permit == nil ? .terminatePaused : .terminate)
    }

    /// Ends all tasks after the command has ended, and releases a permit that one of them may have acquired.
    private mutating func finish(_ events: AsyncStream<Event>) async {
        isEnding = true
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
        await stopSender()
        process.publish(nil, place.permit?.fencingToken ?? FencingToken(rawValue: 0))
        input.finish()
        for await event in events {
            if case .entered(let permit) = event { permit.leave() }
        }
    }
}

/// Whether a change of the gate waits to be handled, so that further changes need no event of their own.
private final class PendingChange: Sendable {
    private let isPending = Atomic(false)

    /// Records a change, and returns whether it needs an event.
    func begin() -> Bool { !isPending.exchange(true, ordering: .acquiringAndReleasing) }

    /// Records that the event is about to be handled.
    func end() { isPending.store(false, ordering: .releasing) }
}
