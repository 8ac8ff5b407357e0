import Foundation
import SystemSupport
import Testing
import ZooKeeper
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

@testable import ZooKeeperRecipes

/// `zkrecipes dashboard` with real servers: what arrives at a page, and what it may change.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(5)))
struct DashboardTests {
    private var connection: String { TestServer.current.connectionString }

    /// A running dashboard.
    private struct Dashboard {
        let process: TestProcess
        let port: Int

        init(_ arguments: [String], connect: String) async throws {
            process = try ProgramRun.start(["dashboard", "--listen", "127.0.0.1:0"] + arguments, connect: connect)
            let line = try await process.line { $0.contains("serving the dashboard at http://127.0.0.1:") }
            port = try #require(line.split(separator: ":").last.flatMap { Int($0.dropLast()) })
        }

        /// Runs a test with a dashboard, which then ends with status 0.
        static func with(
            _ arguments: [String], connect: String, _ body: (Dashboard) async throws -> Void
        ) async throws {
            let dashboard = try await Dashboard(arguments, connect: connect)
            do { try await body(dashboard) } catch {
                await dashboard.process.kill()
                throw error
            }
            try dashboard.process.terminate()
            #expect(try await dashboard.process.waitForExit() == .exited(0))
        }

        func page() async throws -> Page { Page(try await EventSource(port: port)) }

        /// Sends an operator command, and returns the status and the object of the answer.
        func post(_ verb: String, _ values: [String: String], token: String) async throws -> (
            status: String, object: [String: String]
        ) {
            let (body, port) = (try JSONSerialization.data(withJSONObject: values), port)
            let answer = try await onOwnThread {
                let connection = try BlockingConnection(to: "127.0.0.1", port: port, timeout: .seconds(60))
                let head =
                    "POST /actions/\(verb) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                    + "Authorization: Bearer \(token)\r\nContent-Type: application/json\r\n"
                    + "Content-Length: \(body.count)\r\n\r\n"
                try connection.send(Array(head.utf8) + Array(body))
                return String(decoding: try connection.receiveAll(), as: UTF8.self)
            }
            let status = answer.split(separator: " ").dropFirst().first.map(String.init) ?? ""
            let json = answer.firstRange(of: "\r\n\r\n").map { answer[$0.upperBound...] } ?? ""
            let object = try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: String]
            return (status, try #require(object))
        }
    }

    /// A page that a dashboard sends states to.
    private final class Page {
        typealias Object = [String: Any]

        private let source: EventSource
        /// The last state, as text.
        private(set) var text = ""

        init(_ source: EventSource) { self.source = source }

        func close() { source.close() }

        /// Waits for the next state that satisfies a condition.
        @discardableResult
        func state(where matches: (Object) -> Bool) async throws -> Object {
            for await text in source.events {
                self.text = text
                let state = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? Object)
                if matches(state) { return state }
            }
            throw TestKitError(.noResponse, "the stream has ended after \(text)")
        }

        /// Waits for a recipe that satisfies a condition.
        @discardableResult
        func recipe(_ section: String, _ path: String, where matches: (Object) -> Bool = { _ in true }) async throws
            -> Object
        {
            let state = try await state { Self.recipe(section, path, $0).map(matches) == true }
            return try #require(Self.recipe(section, path, state))
        }

        static func recipe(_ section: String, _ path: String, _ state: Object) -> Object? {
            (state[section] as? [Object])?.first { $0["path"] as? String == path }
        }
    }

    private static func processor(_ mode: Page.Object, _ id: String = "one") -> Page.Object? {
        (mode["processors"] as? [Page.Object])?.first { $0["id"] as? String == id }
    }

    private static func phase(_ mode: Page.Object) -> String? {
        (mode["window"] as? Page.Object)?["phase"] as? String
    }

    private static func isConnected(_ state: Page.Object) -> Bool {
        (state["connection"] as? Page.Object)?["state"] as? String == "connected"
    }

    // MARK: States

    @Test func `a window is shown while it drains, while it is open, and when it has ended`() async throws {
        try await ExclusiveScene.with { scene in
            let processor = try await scene.processor("one", timeout: .seconds(10))
            try await Dashboard.with([scene.path], connect: connection) { dashboard in
                let page = try await dashboard.page()
                let before = try await page.recipe("exclusive", scene.path) {
                    Self.processor($0)?["state"] as? String == "running"
                }
                #expect(before["window"] == nil && (before["recentWindows"] as? [Any])?.isEmpty == true)
                let op = try await scene.windowOperator(timeout: .seconds(10))
                let permit = try await processor.gate.enter()
                let (opened, finish) = (OneShot<Void>(), OneShot<Void>())
                let window = Task {
                    try await op.window("nightly") { _ in
                        opened.set(())
                        try await finish.wait()
                    }
                }
                let draining = try await page.recipe("exclusive", scene.path) {
                    Self.phase($0) == "draining" && Self.processor($0)?["inside"] as? Int == 1
                }
                #expect(draining["notPaused"] as? [String] == ["one"])
                #expect(Self.processor(draining)?["oldest"] as? Int != nil)
                #expect((draining["window"] as? Page.Object)?["reason"] as? String == "nightly")
                permit.leave()
                try await opened.wait()
                try await page.recipe("exclusive", scene.path) {
                    Self.phase($0) == "open" && Self.processor($0)?["state"] as? String == "paused"
                }
                finish.set(())
                try await window.value
                let ended = try await page.recipe("exclusive", scene.path) {
                    $0["window"] == nil && Self.processor($0)?["state"] as? String == "running"
                }
                let record = try #require((ended["recentWindows"] as? [Page.Object])?.last)
                #expect(record["outcome"] as? String == "completed" && record["slowestProcessor"] as? String == "one")
            }
        }
    }

    @Test func `a processor that was killed holds a window up, and is then shown as gone`() async throws {
        let victim = try ProgramRun.start(
            [
                "exclusive", "gate", "/killed", "--id", "victim", "--session-timeout", "5s", "--", "/bin/sh", "-c",
                "echo begun; sleep 600",
            ], connect: connection)
        try await victim.line { $0 == "begun" }
        try await Dashboard.with(["/killed"], connect: connection) { dashboard in
            let page = try await dashboard.page()
            try await page.recipe("exclusive", "/killed") {
                Self.processor($0, "victim")?["state"] as? String == "running"
            }
            await victim.kill()
            try await withZooKeeperClient(configuration: .init(connectionString: connection)) { client in
                let mode = try ExclusiveMode(client: client, path: "/killed")
                let opened = OneShot<Void>()
                let window = Task { try await mode.withWindow(reason: "test") { _ in try await opened.wait() } }
                try await page.recipe("exclusive", "/killed") {
                    Self.phase($0) == "draining" && $0["notPaused"] as? [String] == ["victim"]
                }
                let gone = try await page.recipe("exclusive", "/killed") {
                    Self.phase($0) == "open" && ($0["departed"] as? [Any])?.isEmpty == false
                }
                let departed = try #require((gone["departed"] as? [Page.Object])?.first)
                #expect(departed["id"] as? String == "victim" && departed["state"] as? String == "draining")
                #expect(Self.processor(gone, "victim") == nil)
                opened.set(())
                try await window.value
            }
        }
    }

    @Test func `a lost connection is shown with the last values, and heals`() async throws {
        try await withTestServer { server in
            try await withZooKeeperClient(
                configuration: .init(connectionString: server.connectionString, sessionTimeout: .seconds(30))
            ) { client in
                try await hold("/kept", "holder", client)
                try await Dashboard.with(["--session-timeout", "30s"], connect: server.connectionString) { dashboard in
                    let page = try await dashboard.page()
                    try await page.recipe("queues", "/kept") { $0["holder"] as? String == "holder" }
                    await server.stop()
                    let lost = try await page.state { !Self.isConnected($0) }
                    #expect(Page.recipe("queues", "/kept", lost)?["holder"] as? String == "holder")
                    // The servers are asked without a session.
                    let checked = try await page.state(where: Self.hasServerDown)
                    #expect(!Self.isConnected(checked) && Page.recipe("queues", "/kept", checked) != nil)
                    try await server.start()
                    try await page.state(where: Self.isConnected)
                    try await hold("/later", "second", client)
                    try await page.recipe("queues", "/later") { $0["holder"] as? String == "second" }
                    try await page.state { !Self.hasServerDown($0) }
                }
            }
        }
    }

    /// Creates the znode of a lock's holder.
    @discardableResult
    private func hold(_ path: String, _ id: String, _ client: ZooKeeperClient) async throws -> String {
        try await client.create(
            "\(path)/_c_\(UUID().uuidString.lowercased())-lock-", data: Array(id.utf8), mode: .ephemeralSequential,
            parents: true
        ).path
    }

    private static func hasServerDown(_ state: Page.Object) -> Bool {
        let findings = (state["ensemble"] as? Page.Object)?["findings"] as? [Page.Object] ?? []
        return findings.contains { $0["rule"] as? String == "server-down" }
    }

    @Test func `two pages share the reads, new recipes appear, and nothing is watched without a page`() async throws {
        try await withTestServer { server in
            try await withZooKeeperClient(configuration: .init(connectionString: server.connectionString)) { client in
                try await Dashboard.with([], connect: server.connectionString) { dashboard in
                    #expect(try await server.counters().watchCount == 0)
                    let (one, two) = (try await dashboard.page(), try await dashboard.page())
                    try await one.state { $0["isReading"] as? Bool == true }
                    let held = try await hold("/app/new", "a", client)
                    for page in [one, two] {
                        try await page.recipe("queues", "/app/new") { $0["holder"] as? String == "a" }
                    }
                    // Both receive the same text, which was composed once.
                    #expect(one.text == two.text)
                    #expect(try await server.counters().watchCount > 0)
                    try await client.delete(held)
                    // A lock that nobody holds stays in the list.
                    try await one.recipe("queues", "/app/new") { $0["participantCount"] as? Int == 0 }
                    one.close()
                    two.close()
                    // The server notices closed connections when it sends something.
                    var round = 0
                    while try await server.counters().watchCount > 0 {
                        round += 1
                        try await client.create("/app/new/_c_\(round)-lock-0000000001", mode: .ephemeral)
                        try await client.delete("/app/new/_c_\(round)-lock-0000000001")
                        try await Task.sleep(for: .milliseconds(250))
                    }
                    let again = try await dashboard.page()
                    let first = try await again.state { _ in true }
                    #expect(first["isReading"] as? Bool == false, "old values are not shown")
                    try await again.state { $0["isReading"] as? Bool == true }
                }
            }
        }
    }

    // MARK: Changes

    @Test func `an operator command is performed and recorded with the operator and the reason`() async throws {
        let folder = try Folder()
        try folder.write("0123456789abcdef-token\n", to: "token", mode: 0o600)
        let one = try ProgramRun.start(["leader", "run", "/elected", "--id", "one"], connect: connection)
        try await one.line { $0.hasPrefix("leading") }
        let two = try ProgramRun.start(["leader", "run", "/elected", "--id", "two"], connect: connection)
        try await two.line { $0.hasPrefix("waiting") }
        let arguments = [
            "/elected", "--allow-changes", "--token-file", folder.path("token"), "--log-level", "notice",
        ]
        try await Dashboard.with(arguments, connect: connection) { dashboard in
            let page = try await dashboard.page()
            let state = try await page.state { Page.recipe("queues", "/elected", $0)?["holder"] as? String == "one" }
            #expect((state["changes"] as? Page.Object)?["allowed"] as? Bool == true)
            #expect(!page.text.contains("0123456789abcdef"))
            let values = ["path": "/elected", "to": "two", "id": "ada", "reason": "a \"test\""]
            let wrong = try await dashboard.post("leader-transfer", values, token: "0123456789abcdef")
            #expect(wrong.status == "401")
            async let recorded = dashboard.process.line {
                $0.contains("An operator command is performed") && $0.contains("ada") && $0.contains("a \"test\"")
            }
            let done = try await dashboard.post("leader-transfer", values, token: "0123456789abcdef-token")
            #expect(done.status == "200" && done.object == ["done": "two leads"])
            _ = try await recorded
            try await page.recipe("queues", "/elected") { $0["holder"] as? String == "two" }
            let again = try await dashboard.post("leader-transfer", values, token: "0123456789abcdef-token")
            #expect(again.status == "422" && again.object["error"]?.contains("already leads") == true)
            let nothing = try await dashboard.post(
                "lock-evict", ["path": "/nothing", "id": "ada"], token: "0123456789abcdef-token")
            #expect(nothing.status == "409" && nothing.object["error"]?.contains("/nothing does not exist") == true)
        }
        for process in [one, two] {
            try process.terminate()
            try await process.waitForExit()
        }
    }

    @Test func `a release request is withdrawn, and a token file that others can read is refused`() async throws {
        let folder = try Folder()
        try folder.write("0123456789abcdef", to: "token", mode: 0o644)
        let refused = try await ProgramRun(
            ["dashboard", "--allow-changes", "--token-file", folder.path("token")], connect: connection)
        #expect(refused.status == .exited(64) && refused.errors.first?.contains("chmod 600") == true, "\(refused)")
        try folder.write("0123456789abcdef", to: "token", mode: 0o600)
        try await withZooKeeperClient(configuration: .init(connectionString: connection)) { client in
            try await Dashboard.with(
                ["/asked", "--allow-changes", "--token-file", folder.path("token")], connect: connection
            ) { dashboard in
                let asked = OneShot<ReleaseRequest>()
                let holder = Task {
                    try await DistributedMutex(client: client, path: "/asked", id: "holder").withLock { lease in
                        for await request in lease.releaseRequests {
                            asked.set(request)
                            break
                        }
                    }
                }
                let page = try await dashboard.page()
                try await page.recipe("queues", "/asked") { $0["holder"] as? String == "holder" }
                let done = try await dashboard.post(
                    "lock-release-request", ["path": "/asked", "id": "ada", "reason": "noon"],
                    token: "0123456789abcdef")
                #expect(done.status == "200", "\(done)")
                let request = try #require(asked.value)
                #expect(request.requesterID == "ada" && request.reason == "noon")
                try await holder.value
            }
        }
    }

    @Test func `an address that is in use is an error`() async throws {
        try await Dashboard.with([], connect: connection) { dashboard in
            let second = try await ProgramRun(
                ["dashboard", "--listen", "127.0.0.1:\(dashboard.port)"], connect: connection)
            #expect(second.status == .exited(1), "\(second)")
            #expect(
                second.errors == [
                    "zkrecipes: cannot serve --listen 127.0.0.1:\(dashboard.port): Address already in use"
                ])
        }
    }

    // MARK: Size

    @Test func `200 processors and 1,000 partitions are shown, and a change arrives`() async throws {
        try await PartitionScene.with { scene in
            let node = try scene.node("web1", .list(PartitionScene.partitions(1000)), session: .seconds(30))
            await node.state { $0.owned.count == 1000 }
            try await withZooKeeperClient(
                configuration: .init(connectionString: scene.server.connectionString, sessionTimeout: .seconds(30))
            ) { client in
                for parent in ["locks", "members"] { try await client.create("/orders/\(parent)", parents: true) }
                for number in 0..<200 {
                    let record = ProcessorRecord(
                        member: "m\(number)", name: "worker-\(number)", sessionTimeout: .seconds(30))
                    try await client.create("/orders/members/m\(number)", data: record.bytes, mode: .ephemeral)
                    try await client.create(
                        "/orders/locks/_c_\(UUID().uuidString.lowercased())-__READ__", data: record.bytes,
                        mode: .ephemeralSequential)
                }
                try await Dashboard.with([], connect: scene.server.connectionString) { dashboard in
                    let clock = ContinuousClock()
                    let opened = clock.now
                    let page = try await dashboard.page()
                    let state = try await page.state { state in
                        let groups = state["partitions"] as? [Page.Object]
                        let mode = Page.recipe("exclusive", "/orders", state)
                        return groups?.first?["total"] as? Int == 1000
                            && (mode?["processors"] as? [Any])?.count == 200
                    }
                    let first = clock.now - opened
                    #expect((state["partitions"] as? [Page.Object])?.first?["unowned"] as? Int == 0)
                    let changed = clock.now
                    try await client.create("/orders/signal", data: Array("owner=ada".utf8), mode: .ephemeral)
                    try await page.recipe("exclusive", "/orders") { ($0["notPaused"] as? [Any])?.count == 200 }
                    let late = clock.now - changed
                    print(
                        "200 processors, 1,000 partitions: first complete state after \(first), \(page.text.utf8.count) "
                            + "bytes; a window was shown after \(late)")
                }
            }
        }
    }
}

/// A folder of a test, which is removed with it.
private final class Folder {
    private let url = FileManager.default.temporaryDirectory.appendingPathComponent("dashboard-\(UUID().uuidString)")

    init() throws { try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true) }

    deinit { try? FileManager.default.removeItem(at: url) }

    func path(_ name: String) -> String { url.appendingPathComponent(name).path }

    func write(_ text: String, to name: String, mode: Int) throws {
        try Data(text.utf8).write(to: url.appendingPathComponent(name))
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path(name))
    }
}
