import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// The commands with which operators hold the processors of an exclusive mode.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(4)))
struct HoldCommandTests {
    private var connection: String { TestServer.current.connectionString }

    private func run(_ arguments: String...) async throws -> ProgramRun {
        try await ProgramRun(arguments, connect: connection)
    }

    /// Runs a test with an open gate.
    private func withGate(
        at path: String, _ body: (EventGate, ExclusiveMode, ZooKeeperClient) async throws -> Void
    ) async throws {
        let configuration = try ZooKeeperClientConfiguration(
            connectionString: connection, sessionTimeout: .seconds(20))
        try await withZooKeeperClient(configuration: configuration) { client in
            let mode = try ExclusiveMode(client: client, path: path)
            try await mode.withGate(id: "one") { gate in
                await Self.await(gate) { $0.isOpen }
                try await body(gate, mode, client)
            }
        }
    }

    private static func await(_ gate: EventGate, _ isWanted: (GateState) -> Bool) async {
        for await state in gate.states where isWanted(state) { return }
    }

    @Test func `holds are made, shown and removed`() async throws {
        try await withGate(at: "/h") { gate, mode, _ in
            let dry = try await run("exclusive", "hold", "/h", "--reason", "a move", "--id", "ada", "--dry-run")
            #expect(dry.status == .exited(0) && dry.lines.first == "would hold /h for ada", "\(dry)")
            #expect(dry.lines.contains("These processors pause: one."), "\(dry)")
            #expect(try await mode.holds().isEmpty)
            let none = try await run("exclusive", "unhold", "/h", "--yes")
            #expect(none.status == .exited(0) && none.lines == ["/h is not held"], "\(none)")

            let held = try await run(
                "exclusive", "hold", "/h", "--reason", "a move", "--id", "ada", "--wait", "--timeout", "1m", "--yes")
            #expect(held.status == .exited(0), "\(held)")
            #expect(held.lines == ["/h is held by ada: a move", "all processors have paused"], "\(held)")
            #expect(!gate.state.isOpen)
            let again = try await run("exclusive", "hold", "/h", "--reason", "a long move", "--id", "ada", "--yes")
            #expect(again.lines == ["/h is still held by ada: a long move"], "\(again)")
            let other = try await run("exclusive", "hold", "/h", "--reason", "a test", "--id", "bob", "--yes")
            #expect(other.status == .exited(0), "\(other)")

            let status = try await run("exclusive", "status", "/h")
            #expect(status.lines.first == "/h: all processors are held.", "\(status)")
            #expect(
                status.lines.contains { $0.hasPrefix("  by ada since ") && $0.hasSuffix(": a long move") }, "\(status)")
            let json = try await run("exclusive", "status", "/h", "--json")
            #expect(json.lines.first?.contains(#""holds":[{"participantID":"ada""#) == true, "\(json)")
            let recipe = try await run("status", "/h")
            #expect(recipe.lines.first?.hasPrefix("/h: exclusive mode, held by ada since ") == true, "\(recipe)")

            let unnamed = try await run("exclusive", "unhold", "/h", "--yes")
            #expect(unnamed.status == .exited(64), "\(unnamed)")
            #expect(
                unnamed.errors.first?.contains("2 holds") == true && unnamed.errors.first?.contains("by bob") == true)
            let unknown = try await run("exclusive", "unhold", "/h", "eve", "--yes")
            #expect(unknown.status == .exited(64) && unknown.errors.first?.contains("by ada") == true, "\(unknown)")
            let first = try await run("exclusive", "unhold", "/h", "ada", "--yes")
            #expect(
                first.status == .exited(0) && first.lines.first?.contains("for the holds of bob") == true, "\(first)")
            #expect(!gate.state.isOpen)
            let last = try await run("exclusive", "unhold", "/h", "--yes")
            #expect(last.lines == ["the hold of bob is removed; the processors resume"], "\(last)")
            await Self.await(gate) { $0.isOpen }
        }
    }

    @Test func `a command that is killed leaves a complete hold`() async throws {
        try await withGate(at: "/k") { gate, mode, _ in
            let permit = try await gate.enter()
            let waiting = try ProgramRun.start(
                ["exclusive", "hold", "/k", "--reason", "a move", "--id", "ada", "--wait", "--yes"], connect: connection
            )
            try await waiting.line { $0 == "/k is held by ada: a move" }
            await waiting.kill()
            let late = try await run(
                "exclusive", "hold", "/k", "--reason", "a move", "--id", "ada", "--wait", "--timeout", "200ms", "--yes")
            #expect(
                late.status == .exited(1) && late.errors.last?.contains("have not paused within 200ms: one") == true)
            permit.leave()
            await Self.await(gate) { $0 == .paused }

            // A removal that waits for a window, and is killed, leaves the hold as well.
            try await mode.withWindow(id: "batch", reason: "test") { _ in
                let removal = try ProgramRun.start(["exclusive", "unhold", "/k", "--yes"], connect: connection)
                try await removal.line { $0.contains("waiting for the end of the window of batch") }
                await removal.kill()
            }
            #expect(try await mode.holds().map(\.participantID) == ["ada"])
            #expect(gate.state == .paused)
            let removed = try await run("exclusive", "unhold", "/k", "ada", "--yes")
            #expect(removed.status == .exited(0), "\(removed)")
            await Self.await(gate) { $0.isOpen }
        }
    }

    @Test func `a window runs during a hold, and evicts a processor that does not pause`() async throws {
        try await withGate(at: "/w") { gate, mode, _ in
            try await mode.hold(reason: "a move", id: "ada")
            await Self.await(gate) { $0 == .paused }
            let window = try await run("exclusive", "run", "/w", "--fail-if-busy", "--", "/bin/sh", "-c", "echo opened")
            #expect(window.status == .exited(0) && window.lines == ["opened"], "\(window)")
            #expect(gate.state == .paused)
            let evict = try await run("exclusive", "evict", "/w", "one", "--yes")
            #expect(evict.status == .exited(1) && evict.errors.first?.contains("--evict-after 0s") == true, "\(evict)")
            try await mode.removeHold("ada")
            await Self.await(gate) { $0.isOpen }
        }
    }

    @Test func `what a hold needs is told`() async throws {
        let reason = try await run("exclusive", "hold", "/h", "--yes")
        #expect(reason.status == .exited(64) && reason.errors.first?.contains("--reason") == true, "\(reason)")
        let confirmed = try await run("exclusive", "hold", "/h", "--reason", "r")
        #expect(confirmed.status == .exited(64) && confirmed.errors.first?.contains("--yes") == true, "\(confirmed)")
        let limit = try await run("exclusive", "hold", "/h", "--reason", "r", "--timeout", "1s", "--yes")
        #expect(limit.status == .exited(64) && limit.errors.first?.contains("--wait") == true, "\(limit)")
        let name = try await run("exclusive", "hold", "/h", "--reason", "r", "--id", "a/b", "--yes")
        #expect(name.status == .exited(64) && name.errors.first?.contains("--id") == true, "\(name)")
        for command in [["hold", "/nowhere", "--reason", "r", "--yes"], ["unhold", "/nowhere", "--yes"]] {
            let nothing = try await ProgramRun(["exclusive"] + command, connect: connection)
            #expect(nothing.status == .exited(1), "\(nothing)")
            #expect(nothing.errors.first?.contains("/nowhere does not exist") == true, "\(nothing)")
        }
    }
}
