import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

@testable import zkrecipes_dev

/// Windows among real processes that are frozen and killed.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(3)))
struct ProcessTests {
    private var connection: String { TestServer.current.connectionString }

    @Test func `a killed processor holds a window up until its session has ended`() async throws {
        let scene = try await ProcessScene(["victim", "other"], on: connection, base: "/killed")
        await scene.processors[0].kill()
        let window = try scene.window(1)
        let (token, drained) = try await window.opened()
        // The session's timeout, the server's ticks of half a second, and a second for a busy machine.
        #expect(drained < .seconds(scene.plan.sessionTimeout) + .seconds(2))
        try await window.ended()
        try await scene.processors[1].passing(after: token)
        let (evidence, findings) = await scene.findings([window])
        #expect(findings.promiseHeld)
        #expect(evidence.windows[0].failure == nil)
        // The last proof was at most a third of the session timeout old.
        let (opened, killed) = (evidence.windows[0].opened, evidence.processors[0].killed)
        #expect(try #require(opened) - #require(killed) > Int64(scene.plan.sessionTimeout / 2 * 1e9))
    }

    @Test func `after the operator is killed processors resume, and not before the delay`() async throws {
        let scene = try await ProcessScene(["one", "two"], on: connection, base: "/operator", taskSeconds: 600)
        let window = try scene.window(1)
        let (token, _) = try await window.opened()
        await window.kill()
        for processor in scene.processors { try await processor.passing(after: token) }

        let (_, findings) = await scene.findings([window])
        #expect(findings.promiseHeld)
        let resumed = findings.windows[0].resumed
        #expect(resumed.count == 2)
        let delay = Duration.seconds(scene.plan.resumeDelay)
        for time in resumed {
            #expect(time >= delay)
            #expect(time <= .seconds(scene.plan.sessionTimeout) + delay + .seconds(1))
        }
    }

    @Test func `a window's processors and records show in its own program`() async throws {
        let scene = try await ProcessScene(["one"], on: connection, base: "/program")
        let command = try program(
            "exclusive", "run", "/program", "--", "/bin/sh", "-c", "echo $ZK_EXCLUSIVE_BASE $ZK_FENCING_TOKEN; exit 7",
            connect: connection)
        let words = try await command.line { $0.hasPrefix("/program ") }.split(separator: " ")
        let token = try #require(Int64(words[1]))
        #expect(try await command.waitForExit() == .exited(7))
        let passing = try await scene.processors[0].passing(after: token)
        #expect(passing.token > token)

        let status = try await program("exclusive", "status", "/program", "--json", "--connect", connection).output()
        #expect(status.count == 1)
        #expect(status[0].contains(#""outcome":"failed""#))
        #expect(status[0].contains(#""id":"one""#))
        #expect(status[0].contains(#""state":"running""#))
        #expect(status[0].contains(#""token":\#(token)"#))
    }

    @Test func `a window that is open shows, and keeps another one out`() async throws {
        let scene = try await ProcessScene(["one"], on: connection, base: "/busy")
        let watcher = try program("exclusive", "status", "/busy", "--json", "--watch", connect: connection)
        try await watcher.line { $0.contains(#""state":"running""#) }
        let holder = try program(
            "exclusive", "run", "/busy", "--reason", "nightly", "--", "/bin/sh", "-c",
            "echo $ZK_FENCING_TOKEN; exec sleep 600", connect: connection)
        let token = try #require(Int64(try await holder.line { Int64($0) != nil }))
        try await watcher.line { $0.contains(#""state":"paused""#) && $0.contains("nightly") }

        let other = try program("exclusive", "run", "/busy", "--fail-if-busy", "--", "true", connect: connection)
        #expect(try await other.waitForExit() == .exited(120))
        let status = try await program("exclusive", "status", "/busy", connect: connection).output()
        #expect(status.first == "/busy: a window is open.")

        try holder.terminate()
        #expect(try await holder.waitForExit() == .exited(143))
        try await scene.processors[0].passing(after: token)
        try watcher.interrupt()
        #expect(try await watcher.waitForExit() == .exited(0))
    }

    @Test func `a processor that does not pause is named, and given up after a time`() async throws {
        let scene = try await ProcessScene(["stuck"], on: connection, base: "/stuck", sessionTimeout: 30)
        try await scene.processors[0].freeze {
            let run = try program(
                "exclusive", "run", "/stuck", "--abort-after", "0.2", "--", "true", connect: connection)
            #expect(try await run.waitForExit() == .exited(121))
        }
    }

    @Test func `a command ends with its window, and with the program that runs it`() async throws {
        try await withZooKeeperClient(configuration: .init(connectionString: connection)) { client in
            let lost = try program(
                "exclusive", "run", "/lost", "--", "/bin/sh", "-c",
                "trap 'echo told; exit 0' TERM; echo open; while :; do sleep 0.02; done", connect: connection)
            try await lost.line { $0 == "open" }
            try await client.delete("/lost/signal")
            try await lost.line { $0 == "told" }
            #expect(try await lost.waitForExit() == .exited(122))
        }
        let killed = try program(
            "exclusive", "run", "/killed-runner", "--", "/bin/sh", "-c", "echo open; sleep 600", connect: connection)
        try await killed.line { $0 == "open" }
        await killed.kill()
        // The output ends when nobody is left who could write to it.
        #expect(try await killed.output() == ["open"])
    }

    @Test func `the demo ends well, and says so in JSON`() async throws {
        let demo = try program(
            "demo", "--json", "--processors", "2", "--windows", "1", "--task-duration", "200ms", "--session-timeout",
            "1")
        let output = try await demo.output()
        #expect(try await demo.waitForExit() == .exited(0))
        #expect(output.count == 1)
        #expect(output[0].contains(#""eventsInsideWindows":0,"#))
        #expect(output[0].contains(#""promiseHeld":true"#))
    }

    @Test(arguments: [
        ["demo", "--processors", "0"], ["demo", "--connect", "host:0"], ["server", "--members", "2"],
        ["server", "--port", "70000"], ["exclusive", "run", "/base"], ["exclusive", "run", "base", "--", "true"],
        ["exclusive", "run", "/base", "--wait", "--abort-after", "1", "--", "true"],
        ["exclusive", "status", "/base", "--session-timeout", "0"],
    ])
    func `arguments that cannot be are refused`(arguments: [String]) async throws {
        let refused = try TestProcess(TestProcess.path(ofProduct: "zkrecipes"), arguments: arguments)
        #expect(try await refused.waitForExit() == .exited(64))
    }
}

/// With servers of their own, which are killed or counted.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct ProcessServerTests {
    @Test func `nothing moves when the server is killed and started again`() async throws {
        try await withTestServer { server in
            let scene = try await ProcessScene(
                ["one", "two"], on: server.connectionString, base: "/restart", sessionTimeout: 12)
            let configuration = try ZooKeeperClientConfiguration(connectionString: server.connectionString)
            try await withZooKeeperClient(configuration: configuration) { client in
                let readers = try await client.children(of: "/restart/locks").names.sorted()
                #expect(readers.count == 2)
                await server.kill()
                try await server.start()
                let back = EventRecord.now
                // Events that begin later than any proof from before the restart allows.
                let later = back + Int64(scene.plan.sessionTimeout * 1e9)
                for processor in scene.processors { try await processor.passing(after: 0, since: later) }
                #expect(try await client.children(of: "/restart/locks").names.sorted() == readers)
            }
            let (evidence, _) = await scene.findings([])
            for processor in evidence.processors { #expect(Set(processor.events.map(\.token)).count == 1) }
        }
    }

    @Test func `a million events make no request but the session's proofs`() async throws {
        try await withTestServer { server in
            try await withProcessors(0, connection: server.connectionString) { _, mode in
                let gate = mode.gate()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await gate.run() }
                    for await state in gate.states where state.isOpen { break }
                    let before = try await server.counters().packetsReceived
                    let began = ContinuousClock.now
                    for _ in 0..<1_000_000 { try await gate.withSynchronousPermit { _ in } }
                    let time = ContinuousClock.now - began
                    let after = try await server.counters().packetsReceived
                    // A sync and a proof in 0.28 of the session timeout at most, and the question itself.
                    let heartbeats = Int((time / (.seconds(4) * 0.28)).rounded(.up))
                    #expect(after - before <= 2 * heartbeats + 1)
                    group.cancelAll()
                }
            }
        }
    }

    @Test func `a development server says where it is and ends when it is told`() async throws {
        let server = try program("server")
        let connection = try await server.line { !$0.isEmpty }
        try await withZooKeeperClient(configuration: .init(connectionString: connection)) { client in
            let root = try await client.exists(at: "/")
            #expect(root != nil)
        }
        try server.interrupt()
        #expect(try await server.waitForExit() == .exited(0))
    }
}
