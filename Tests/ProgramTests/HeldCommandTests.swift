import Glibc
import Synchronization
import SystemSupport
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

@testable import zkrecipes

/// Commands below their guard, without a server.
@Suite(.timeLimit(.minutes(5)))
struct HeldCommandTests {
    /// A grant that lasts for ever.
    private struct Held: Grant {
        var isValid: Bool { true }
        var validUntil: ContinuousClock.Instant? { .now + .seconds(600) }
        var fencingToken: FencingToken { FencingToken(rawValue: 7) }
        func waitUntilLost() async throws -> LossReason { try await OneShot<LossReason>().wait() }
        func transaction(_ operations: [TransactionOperation]) async throws -> [TransactionResult] { [] }
    }

    /// A grant that nobody renews.
    private struct Ending: Grant {
        let end: ContinuousClock.Instant
        var isValid: Bool { .now < end }
        var validUntil: ContinuousClock.Instant? { isValid ? end : nil }
        var fencingToken: FencingToken { FencingToken(rawValue: 7) }
        func waitUntilLost() async throws -> LossReason { .deadlinePassed }
        func transaction(_ operations: [TransactionOperation]) async throws -> [TransactionResult] { [] }
    }

    @Test(arguments: [.zero, .milliseconds(300)] as [Duration])
    func `a command is killed at its deadline, however long its grace is`(left: Duration) async throws {
        let command = HeldCommand(words: ["/bin/sh", "-c", "trap '' TERM; exec sleep 600"], grace: .seconds(600))
        await #expect(throws: DeadlineReached.self) {
            try await command.run(under: Ending(end: .now + left), variables: [:])
        }
        #expect(command.status == 128 + SIGKILL)
    }

    /// A grant that is lost, with a reason.
    private struct Lost: Grant {
        let reason: LossReason
        var isValid: Bool { false }
        var validUntil: ContinuousClock.Instant? { nil }
        var fencingToken: FencingToken { FencingToken(rawValue: 7) }
        func waitUntilLost() async throws -> LossReason { reason }
        func transaction(_ operations: [TransactionOperation]) async throws -> [TransactionResult] { [] }
    }

    @Test(arguments: [(.znodeDeleted, false), (.sessionEnded, false), (.deadlinePassed, true)] as [(LossReason, Bool)])
    func `a loss other than the deadline's is left to its own error`(reason: LossReason, isReported: Bool) async throws
    {
        let command = HeldCommand(words: ["/bin/sh", "-c", "exec sleep 600"], grace: .zero)
        await #expect(throws: DeadlineReached.self) {
            try await command.run(under: Lost(reason: reason), variables: [:])
        }
        #expect(command.hasReportedDeadline.load(ordering: .acquiring) == isReported)
    }

    @Test(
        arguments: [("no-such-command", 127), ("/no/such", 127), ("/etc/passwd", 126), ("/tmp", 126)]
            as [(String, Int32)])
    func `a command that cannot be run is refused before anything is held for it`(name: String, status: Int32) throws {
        let refusal = try #require(throws: CommandRefusal.self) { try HeldCommand.requireExecutable(name) }
        #expect(refusal.status == status && refusal.name == name)
        try HeldCommand.requireExecutable("sh")
    }

    @Test(arguments: [0, 9] as [Int32])
    func `a command that ends in order at its deadline has not succeeded`(status: Int32) async throws {
        let script = "trap 'exit \(status)' TERM; while :; do sleep 0.01; done"
        let command = HeldCommand(words: ["/bin/sh", "-c", script], grace: .seconds(600))
        let error = try await #require(throws: DeadlineReached.self) {
            try await command.run(under: Ending(end: .now + .seconds(2)), variables: [:])
        }
        #expect(command.status == status)
        #expect(command.exitStatus(of: error, otherwise: nil) == 122)
    }

    @Test func `an order that comes when the command ends does not hide how it ended`() async throws {
        let far = SystemMonotonicClock().now + .seconds(600)
        let deadline = GuardedProcess.Deadline(terminate: far, kill: far)
        for _ in 0..<100 {
            let process = try GuardedProcess(
                words: ["/bin/sh", "-c", "exit 3"], variables: [:], grace: .seconds(600), deadline: deadline,
                lines: .none, token: FencingToken(rawValue: 7), mayContinue: { true })
            let sender = Task {
                while !Task.isCancelled {
                    process.send(.deadline(deadline))
                    await Task.yield()
                }
            }
            let result = try await onOwnThread { try process.awaitEnd { _ in } }
            sender.cancel()
            await sender.value
            #expect(result.ending == .exited(3) && !result.isAtDeadline)
        }
    }

    @Test func `deadlines leave time to end, and a grant that is lost ends soon`() {
        var deadlines = CommandDeadlines(Ending(end: .now + .seconds(100)), grace: .seconds(10))
        let first = deadlines.next()
        #expect(first.kill - first.terminate >= .seconds(4.9) && first.kill - first.terminate <= .seconds(5))
        var short = CommandDeadlines(Ending(end: .now + .seconds(100)), grace: .milliseconds(10))
        let second = short.next()
        #expect(second.kill - second.terminate == .milliseconds(10))
        var lost = CommandDeadlines(Ending(end: .now), grace: .seconds(10))
        let last = lost.next()
        #expect(last.kill == last.terminate)
    }

    private func run(
        _ words: String..., grace: Duration = .seconds(600), variables: [String: String?] = [:]
    ) async throws -> [String] {
        let lines = Mutex<[String]>([])
        let command = HeldCommand(words: words, grace: grace)
        try await command.run(under: Held(), variables: variables) { line in lines.withLock { $0.append(line) } }
        return lines.withLock { $0 }
    }

    @Test func `the command's last checkpoint is recorded, also without a newline`() async throws {
        for text in ["echo 1 >$ZK_CHECKPOINT_FILE; printf 2 >$ZK_CHECKPOINT_FILE", "echo 1 >&3; echo 2 >&3"] {
            #expect(try await run("/bin/sh", "-c", text).last == "2")
        }
        #expect(try await run("/bin/true").isEmpty)
    }

    @Test func `what a command leaves behind does not hold up its end`() async throws {
        let lines = try await run("/bin/sh", "-c", "sleep 600 & echo $! >$ZK_CHECKPOINT_FILE")
        let pid = try #require(lines.last.flatMap { Int32($0) })
        #expect(kill(pid, SIGKILL) == 0)
    }

    @Test func `variables are set, and removed where there is no value`() async throws {
        let text = "echo \"$ZK_FENCING_TOKEN $A ${HOME-none}\" >$ZK_CHECKPOINT_FILE"
        #expect(try await run("/bin/sh", "-c", text, variables: ["A": "b=c", "HOME": nil]) == ["7 b=c none"])
    }

    @Test func `a command can read its validity at any time, and cannot change it`() async throws {
        let fields = "od -An -t d8 -v /dev/fd/$ZKRECIPES_VALIDITY_FD"
        let text = """
            echo "$(\(fields)) $ZK_VALID_UNTIL_MONOTONIC" >$ZK_CHECKPOINT_FILE
            """
        let before = SystemMonotonicClock().now
        let numbers = try await run("/bin/sh", "-c", text)[0].split(separator: " ").compactMap { Int64($0) }
        // The validity of 600 s was given at some time in between, and each conversion may round it down.
        let possible = before + .seconds(599)...SystemMonotonicClock().now + .seconds(600)
        try #require(numbers.count == 3)
        #expect(possible.contains(MonotonicInstant(nanoseconds: numbers[0])))
        #expect(numbers[1] == 7)
        #expect(numbers[2] <= numbers[0])
        let writing = "printf x 1<>/dev/fd/$ZKRECIPES_VALIDITY_FD 2>/dev/null || echo refused >$ZK_CHECKPOINT_FILE"
        #expect(try await run("/bin/sh", "-c", writing) == ["refused"])
    }

    @Test func `the end of the validity is a time in UTC`() async throws {
        let text = "date -ud \"$ZK_VALID_UNTIL\" +%s >$ZK_CHECKPOINT_FILE"
        let before = time(nil)
        let line = try #require(try await run("/bin/sh", "-c", text).first)
        #expect((before + 599...time(nil) + 600).contains(try #require(Int(line))))
    }

    @Test func `a signal reaches a command that handles it, unless its deadline has passed`() async throws {
        let far = SystemMonotonicClock().now + .seconds(600)
        let deadline = GuardedProcess.Deadline(terminate: far, kill: far)
        let process = try GuardedProcess(
            words: [
                "/bin/sh", "-c",
                "trap 'echo told >&$ZKRECIPES_ACK_FD' USR1; while :; do echo ready >&$ZKRECIPES_ACK_FD; sleep 0.01; done",
            ],
            variables: [:], grace: .zero, deadline: deadline, lines: .acknowledgements,
            token: FencingToken(rawValue: 7), mayContinue: { true })
        let (answers, input) = AsyncStream.makeStream(of: Int.self)
        let end = Task {
            try await onOwnThread { try process.awaitEnd({ _ in }, acknowledged: { input.yield($0) }) }
        }
        var iterator = answers.makeAsyncIterator()
        var requests = 0
        // The first line may be read before the guard's report of the process.
        repeat {
            requests += 1
            process.expectAcknowledgement("ready", of: requests)
            #expect(await iterator.next() == requests)
        } while !process.isPrepared(for: SIGUSR1)
        #expect(!process.isPrepared(for: SIGUSR2))
        process.expectAcknowledgement("told", of: requests + 1)
        process.send(.signal(SIGUSR1, nil))
        #expect(await iterator.next() == requests + 1)
        let past = SystemMonotonicClock().now
        process.send(.signal(SIGUSR1, GuardedProcess.Deadline(terminate: past, kill: past)))
        let result = try await end.value
        #expect(result.ending == .signalled(SIGKILL) && result.isAtDeadline)
        input.finish()
        #expect(await iterator.next() == nil)
    }

    @Test func `a command that cannot be started is told from one that fails`() async throws {
        let refusals: [(String, Int32)] = [("no-such-command", 127), ("-x", 127), ("/etc/passwd", 126), ("/tmp", 126)]
        for (name, status) in refusals {
            let refusal = try await #require(throws: CommandRefusal.self) { try await run(name) }
            #expect(refusal.status == status)
        }
        let failures: [(String, CommandEnding, Int32)] = [
            ("exit 3", .exited(3), 3), ("exit 126", .exited(126), 126), ("kill -9 $$", .signalled(9), 137),
        ]
        for (text, ending, status) in failures {
            let failure = try await #require(throws: CommandEnding.self) { try await run("/bin/sh", "-c", text) }
            #expect(failure == ending && failure.status == status)
        }
    }

    @Test func `a cancelled command is terminated with all that it has started, in whichever session`() async throws {
        let (lines, input) = AsyncStream.makeStream(of: String.self)
        let command = HeldCommand(
            words: [
                "/bin/sh", "-c",
                """
                exec 3>$ZK_CHECKPOINT_FILE
                setsid sh -c 'trap "echo far >&3; exit" TERM; echo open >&3; while :; do sleep 0.02; done' &
                trap 'sleep 0.1; exit 5' TERM
                while :; do sleep 0.02; done
                """,
            ], grace: .seconds(600))
        let task = Task {
            try await command.run(under: Held(), variables: [:]) { input.yield($0) }
        }
        var iterator = lines.makeAsyncIterator()
        #expect(await iterator.next() == "open")
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(await iterator.next() == "far")
        #expect(command.status == 5)
    }

    @Test func `a command that is stopped or ignores its end does not escape`() async throws {
        for text in ["kill -STOP $$", "trap '' TERM; while :; do sleep 0.02; done"] {
            let (lines, input) = AsyncStream.makeStream(of: String.self)
            let command = HeldCommand(
                words: ["/bin/sh", "-c", "echo open >$ZK_CHECKPOINT_FILE; \(text)"], grace: .milliseconds(200))
            let task = Task { try await command.run(under: Held(), variables: [:]) { input.yield($0) } }
            for await _ in lines { break }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            #expect(try #require(command.status) > 128)
        }
    }
}
