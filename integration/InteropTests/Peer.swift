import Glibc
import Synchronization
import ZooKeeper
import ZooKeeperTestKit

/// A process that uses some maker's recipes as it is told.
///
/// `integration/Interop/README.md` has the commands.
final class Peer: Sendable {
    let maker: Maker
    let name: String
    let process: TestProcess
    /// The version of the maker's library; empty for this package.
    let version: String
    private let conversation = Conversation()

    /// Starts a process and waits until it is connected.
    init(_ maker: Maker, name: String, scene: InteropScene, sessionTimeout: Duration) async throws {
        (self.maker, self.name) = (maker, name)
        let milliseconds = Int(sessionTimeout / .milliseconds(1))
        let ready = conversation.expect(0)
        let process = try scene.makers.start(
            maker, arguments: [scene.server.connectionString, "\(milliseconds)", name])
        self.process = process
        let (lines, conversation) = (process.lines, conversation)
        Task {
            do { for try await line in lines { conversation.receive(line) } } catch {}
            conversation.end()
        }
        version = try await ready.wait().get()
    }

    /// Gives a command, and waits for its answer.
    @discardableResult
    func ask(_ command: String) async throws -> String {
        let (number, answer) = conversation.expectNext()
        try process.send(line: "\(number) \(command)")
        return try await answer.wait().get()
    }

    /// Gives a command whose answer, a token, may take a while.
    func begin(_ command: String) -> Task<Int64, any Error> {
        // Sent before anything that is sent from here on.
        let (number, answer) = conversation.expectNext()
        let sent = Result { try process.send(line: "\(number) \(command)") }
        return Task {
            try sent.get()
            return Int64(try await answer.wait().get()) ?? 0
        }
    }

    /// What it has done since that was taken last.
    var evidence: [Evidence] { conversation.evidence }

    /// What it has done by a ticket.
    func evidence(of ticket: String) -> [Evidence] { evidence.filter { $0.who == "\(name)/\(ticket)" } }

    /// What it has done since it was asked last.
    func takeEvidence() -> [Evidence] { conversation.takeEvidence() }

    /// Kills it; gives the instant.
    @discardableResult
    func kill() async -> MonotonicInstant {
        await process.kill()
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return MonotonicInstant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }
}

/// A command that failed, with what the peer said.
struct PeerFailure: Error, CustomStringConvertible {
    let description: String
}

/// The lines of one peer.
private final class Conversation: Sendable {
    typealias Answer = OneShot<Result<String, PeerFailure>>

    private struct State {
        var number = 0
        var answers: [Int: Answer] = [:]
        var evidence: [Evidence] = []
        var hasEnded = false
    }

    private let state = Mutex(State())

    func expect(_ number: Int) -> Answer {
        let answer = Answer()
        let hasEnded = state.withLock { state in
            state.answers[number] = answer
            return state.hasEnded
        }
        if hasEnded { end() }
        return answer
    }

    func expectNext() -> (Int, Answer) {
        let number = state.withLock { state in
            state.number += 1
            return state.number
        }
        return (number, expect(number))
    }

    func receive(_ line: String) {
        if let evidence = Evidence(line) { return state.withLock { $0.evidence.append(evidence) } }
        let words = line.split(separator: " ", maxSplits: 2).map(String.init)
        guard words.count >= 2, let number = Int(words[0]) else { return }
        let rest = words.count > 2 ? words[2] : ""
        let answer = state.withLock { $0.answers.removeValue(forKey: number) }
        answer?.set(words[1] == "ok" ? .success(rest) : .failure(PeerFailure(description: rest)))
    }

    func end() {
        let answers = state.withLock { state in
            state.hasEnded = true
            defer { state.answers = [:] }
            return state.answers
        }
        for answer in answers.values { answer.set(.failure(PeerFailure(description: "the process has ended"))) }
    }

    var evidence: [Evidence] { state.withLock { $0.evidence } }

    func takeEvidence() -> [Evidence] {
        state.withLock { state in
            defer { state.evidence = [] }
            return state.evidence
        }
    }
}
