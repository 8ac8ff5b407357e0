import Glibc
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

@testable import zkrecipes_dev

/// Commands behind a gate, in the situations in which windows, operators and failures pause and end them.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(5)))
struct ExclusiveGateTests {
    private static let loop = "while :; do echo act; sleep 0.02; done"

    /// A program behind a gate that writes to a file, which shows at once what it does.
    private final class Worker: Sendable {
        let path: String
        let process: TestProcess

        /// Starts `zkrecipes exclusive gate` with its output in the file.
        init(_ base: String, _ options: [String] = [], running words: [String]) throws {
            let path = "/tmp/gate-\(getpid())-\(UInt64.random(in: 0 ... .max))"
            self.path = path
            process = try TestProcess(
                "/bin/sh",
                arguments: [
                    "-c", "f=$1; shift; exec \"$0\" exclusive gate \"$@\" >$f 2>$f.errors",
                    TestProcess.path(ofProduct: "zkrecipes"), path, base, "--id", "worker",
                ] + options + ["--connect", TestServer.current.connectionString, "--"] + words)
        }

        convenience init(_ base: String, _ options: String..., script: String) throws {
            try self.init(base, options, running: ["/bin/sh", "-c", script])
        }

        deinit { for name in [path, path + ".errors"] { unlink(name) } }

        private func text(_ path: String) -> [String] {
            guard let bytes = try? readBytes(path) else { return [] }
            return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
        }

        var lines: [String] { text(path) }
        var errors: [String] { text(path + ".errors") }

        /// The process IDs of the commands so far, which they have written.
        var ids: [Int32] { lines.compactMap { Int32($0) } }

        func wait(until condition: () -> Bool) async throws {
            while !condition() { try await Task.sleep(for: .milliseconds(5)) }
        }

        /// Waits until the command has written more.
        func acts() async throws {
            let count = lines.count
            try await wait { lines.count > count }
        }

        /// Checks that the command writes nothing for a while.
        func expectsRest() async throws {
            let count = lines.count
            try await Task.sleep(for: .milliseconds(300))
            #expect(lines.count == count)
        }
    }

    private func window(
        _ base: String, drain: DrainPolicy = .wait, _ body: @escaping @Sendable (ExclusiveWindow) async throws -> Void
    ) async throws {
        let connection = TestServer.current.connectionString
        try await withZooKeeperClient(configuration: .init(connectionString: connection)) { client in
            try await ExclusiveMode(client: client, path: base)
                .withWindow(reason: "test", drain: drain, body)
        }
    }

    private func isGone(_ id: Int32) -> Bool {
        guard let text = try? readBytes("/proc/\(id)/stat") else { return true }
        return String(decoding: text, as: UTF8.self).split(separator: ")").last?.dropFirst().first == "Z"
    }

    private func state(of id: Int32) -> Character? {
        guard let text = try? readBytes("/proc/\(id)/stat") else { return nil }
        return String(decoding: text, as: UTF8.self).split(separator: ")").last?.dropFirst().first
    }

    // MARK: Pausing

    /// An example, or a script, and how it is paused.
    struct Pausing: Sendable, CustomTestStringConvertible {
        var name: String
        var options: [String]

        var testDescription: String { name }

        private static let signals = ["--on-pause", "signal:USR1,USR2"]

        static let all = [
            Pausing(name: "restarted_worker.py", options: []),
            Pausing(name: "restarted-worker.sh", options: ["--on-pause", "restart"]),
            Pausing(name: "pausing_worker.py", options: signals),
            Pausing(name: "pausing-worker.sh", options: signals),
            Pausing(
                name: "restarted-worker.sh",
                options: [
                    "--on-pause", "command:kill -STOP $ZK_COMMAND_PID", "--on-resume", "kill -CONT $ZK_COMMAND_PID",
                ]),
        ]

        var path: String {
            "\(#filePath.split(separator: "/").dropLast(4).map { "/" + $0 }.joined())/Examples/AnyLanguage/\(name)"
        }
    }

    @Test(arguments: Pausing.all)
    func `a command pauses for each window and continues with a higher token`(pausing: Pausing) async throws {
        let base = "/pausing-\(pausing.name)-\(pausing.options.count)"
        let worker = try Worker(base, pausing.options, running: [pausing.path])
        func token() -> Int64 {
            worker.lines.last { $0.contains("token") }.flatMap { Int64($0.split(separator: " ").last ?? "") } ?? 0
        }
        try await worker.wait { token() > 0 }
        for _ in 0..<3 {
            let before = token()
            try await window(base) { window in
                #expect(window.processors.contains("worker"))
                #expect(window.fencingToken.rawValue > before)
                try await worker.expectsRest()
            }
            if pausing.options.first(where: { $0.hasPrefix("command:") }) == nil {
                try await worker.wait { token() > before }
            }
            try await worker.acts()
        }
        try worker.process.terminate()
        #expect(try await worker.process.waitForExit() == .exited(0))
        #expect(worker.errors.filter { $0.contains("zkrecipes:") } == [])
    }

    @Test func `a command without an acknowledgement is shown as not paused, and ended if it is evicted`() async throws
    {
        let worker = try Worker(
            "/silent", "--on-pause", "signal:USR1,USR2", "--session-timeout", "6", "--grace", "600",
            script: "trap '' USR1; trap 'echo told' TERM; echo $$; setsid sleep 600 & echo $!; \(Self.loop)")
        try await worker.wait { worker.ids.count == 2 }
        let waiting = Task { try await window("/silent", drain: .abort(after: .seconds(7))) { _ in } }
        let connect = TestServer.current.connectionString
        try await worker.wait { worker.errors.contains { $0.contains("has not written the line `paused`") } }
        let status = try await ProgramRun(["exclusive", "status", "/silent"], connect: connect)
        #expect(status.lines.contains { $0.hasPrefix("worker ") && $0.contains("not paused: 1 inside") })
        let error = await #expect(throws: RecipeError.self) { try await waiting.value }
        #expect(error?.code == .notPaused)
        #expect(error?.participants.first?.hasPrefix("worker (1 event inside") == true)
        // It was not ended, because the window was given up.
        try await worker.acts()
        let first = worker.ids
        try await window("/silent", drain: .evict(after: .milliseconds(200))) { _ in
            for id in first { #expect(isGone(id)) }
            try await worker.expectsRest()
        }
        #expect(worker.lines.contains("told"))
        try await worker.wait { worker.ids.count == 4 }
        #expect(worker.errors.contains { $0.contains("the gate was lost") })
    }

    @Test func `a command that does not handle the signal is not ended by it`() async throws {
        let worker = try Worker("/default", "--on-pause", "signal:USR1,USR2", script: "echo $$; exec sleep 600")
        try await worker.wait { worker.ids.count == 1 }
        await #expect(throws: RecipeError.self) {
            try await window("/default", drain: .abort(after: .milliseconds(500))) { _ in }
        }
        #expect(!isGone(worker.ids[0]))
    }

    @Test func `acknowledgements without a request have no effect, however many there are`() async throws {
        let worker = try Worker(
            "/flood", "--on-pause", "signal:USR1,USR2", "--grace", "1s",
            script: """
                trap : USR1; echo $$
                yes "paused
                resumed
                other" >&$ZKRECIPES_ACK_FD
                """)
        try await worker.wait { worker.ids.count == 1 }
        try await Task.sleep(for: .seconds(2))
        let memory = try #require(residentMemory(of: worker.process.id))
        try await Task.sleep(for: .seconds(2))
        let later = try #require(residentMemory(of: worker.process.id))
        #expect(later < memory + 5000)
        try worker.process.terminate()
        let start = ContinuousClock.now
        _ = try await worker.process.waitForExit()
        #expect(.now - start < .seconds(10))
    }

    /// The resident memory of a process in KiB.
    private func residentMemory(of id: Int32) -> Int? {
        guard let text = try? readBytes("/proc/\(id)/status") else { return nil }
        let line = String(decoding: text, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        return line?.split(separator: " ").dropLast().last.flatMap { Int($0.split(separator: "\t").last ?? "") }
    }

    @Test func `a pause that fails is repeated`() async throws {
        let worker = try Worker(
            "/repeated", "--on-pause", "command:echo try; test $(grep -c try $FILE) -gt 1", "--on-resume", "true",
            script: "echo $$; sleep 600")
        try await worker.wait { worker.ids.count == 1 }
        // The variable is missing, so that each attempt fails.
        await #expect(throws: RecipeError.self) {
            try await window("/repeated", drain: .abort(after: .seconds(3))) { _ in }
        }
        #expect(worker.lines.filter { $0 == "try" }.count > 1)
        #expect(worker.errors.contains { $0.contains("--on-pause failed") })
    }

    // MARK: The command ends

    @Test func `a command that ends by itself ends the program and frees its place`() async throws {
        let worker = try Worker("/own-end", script: "echo $$; sleep 0.2; exit 3")
        #expect(try await worker.process.waitForExit() == .exited(3))
        #expect(worker.ids.count == 1)
        try await window("/own-end") { #expect($0.processors.isEmpty) }
    }

    @Test func `SIGTERM ends the command before the gate is left`() async throws {
        let worker = try Worker(
            "/wind-down", "--session-timeout", "1.5", "--grace", "600",
            script: "trap 'sleep 4; echo told; exit 3' TERM; echo $$; \(Self.loop)")
        try await worker.wait { worker.ids.count == 1 }
        try worker.process.terminate()
        try await Task.sleep(for: .milliseconds(300))
        try await window("/wind-down") { _ in #expect(worker.lines.last == "told") }
        #expect(try await worker.process.waitForExit() == .exited(3))
    }

    @Test func `a stopped command does not continue when the program is ended during a window`() async throws {
        let worker = try Worker(
            "/stopped-end", "--on-pause", "command:kill -STOP $ZK_COMMAND_PID", "--on-resume",
            "kill -CONT $ZK_COMMAND_PID", script: "trap 'echo told' TERM; echo $$; \(Self.loop)")
        try await worker.wait { worker.ids.count == 1 }
        try await window("/stopped-end") { _ in
            let count = worker.lines.count
            try worker.process.terminate()
            #expect(try await worker.process.waitForExit() == .exited(128 + SIGKILL))
            #expect(worker.lines.count == count)
        }
    }

    @Test func `a paused command that is stopped by the terminal continues after the window`() async throws {
        let worker = try Worker(
            "/terminal", ["--on-pause", "signal:USR1,USR2"], running: [Pausing.all[2].path])
        try await worker.wait { !worker.lines.isEmpty }
        let parent = worker.process.id
        try await window("/terminal") { _ in
            #expect(kill(parent, SIGTSTP) == 0)
            try await worker.wait { state(of: parent) == "T" }
            try worker.process.resume()
            try await worker.wait { state(of: parent) != "T" }
            try await worker.expectsRest()
        }
        try await worker.acts()
    }

    // MARK: The program is stopped or killed

    @Test(arguments: [[], ["--on-pause", "signal:USR1,USR2"]])
    func `a command has ended before a window opens, also if the program is stopped`(options: [String]) async throws {
        let base = "/frozen-\(options.count)"
        let worker = try Worker(
            base, options + ["--session-timeout", "3", "--grace", "600"],
            running: [
                "/bin/sh", "-c",
                """
                trap '' USR1; trap 'echo told' TERM; echo $$
                setsid sh -c 'trap "" TERM; echo $$; \(Self.loop)' & \(Self.loop)
                """,
            ])
        try await worker.wait { worker.ids.count == 2 }
        let ids = worker.ids
        try worker.process.pause()
        try await window(base) { _ in
            for id in ids { #expect(isGone(id)) }
            try await worker.expectsRest()
        }
        #expect(worker.lines.contains("told"))
        try worker.process.resume()
        try await worker.wait { worker.ids.count == 4 }
        try worker.process.terminate()
    }

    @Test func `a paused command outlives a stopped program, and runs again under a new permit`() async throws {
        let worker = try Worker(
            "/frozen-pause", ["--on-pause", "signal:USR1,USR2", "--session-timeout", "2"],
            running: [Pausing.all[2].path])
        try await worker.wait { !worker.lines.isEmpty }
        try await window("/frozen-pause") { _ in
            try worker.process.pause()
            try await Task.sleep(for: .seconds(4))
            try await worker.expectsRest()
        }
        try await worker.expectsRest()
        try worker.process.resume()
        try await worker.acts()
    }

    @Test(arguments: [["lock"], ["exclusive", "run"], ["exclusive", "gate"]])
    func `a killed program takes the command and its descendants with it at once`(words: [String]) async throws {
        let process = try TestProcess(
            TestProcess.path(ofProduct: "zkrecipes"),
            arguments: words + [
                "/killed-\(words.count)-\(words.last ?? "")", "--connect", TestServer.current.connectionString, "--",
                "/bin/sh", "-c", "setsid sh -c 'trap \"\" TERM; echo $$; exec sleep 600' & echo $$; exec sleep 600",
            ])
        let first = try #require(Int32(try await process.line { Int32($0) != nil }))
        let second = try #require(Int32(try await process.line { Int32($0) != nil && Int32($0) != first }))
        let start = ContinuousClock.now
        #expect(kill(process.id, SIGKILL) == 0)
        while !isGone(first) || !isGone(second) { try await Task.sleep(for: .milliseconds(1)) }
        // About 10 ms on an idle machine.
        #expect(.now - start < .seconds(1))
    }
}
