import ArgumentParser
import CommandLineSupport
import Foundation
import SystemSupport
import Testing
import ZooKeeper
import ZooKeeperScheduling
import ZooKeeperTestKit

@testable import zkrecipes

/// The HTTP server of the dashboard, without ZooKeeper.
@Suite(.timeLimit(.minutes(5)))
struct DashboardServerTests {
    private let feed = DashboardFeed()

    /// Serves at a free port, and passes the port to an operation.
    private func serve(
        changes token: AccessToken? = nil, names: [String] = [],
        _ operation: @escaping @Sendable (Int) async throws -> Void
    ) async throws {
        let server = DashboardServer(
            feed: feed, hosts: AllowedHosts(names),
            changes: try token.map { ($0, DashboardActions(connection: try ConnectionOptions.parse([]))) })
        let port = OneShot<Int>()
        try await ListeningServer(handler: server, option: "--listen").serve(
            at: try ListenAddress.parse("127.0.0.1:0"),
            listens: { text in _ = text.split(separator: ":").last.flatMap { Int($0) }.map(port.set) }
        ) {
            try await operation(try #require(port.value))
        }
    }

    private func answer(
        _ request: String, host: String = "localhost", headers: [String] = [], body: String = "", port: Int
    ) async throws -> String {
        try await onOwnThread {
            let connection = try BlockingConnection(to: "127.0.0.1", port: port, timeout: .seconds(60))
            let length = body.isEmpty ? [] : ["Content-Length: \(body.utf8.count)"]
            let head = ["\(request) HTTP/1.1", "Host: \(host)", "Connection: close"] + headers + length
            try connection.send(Array((head.joined(separator: "\r\n") + "\r\n\r\n" + body).utf8))
            return String(decoding: try connection.receiveAll(), as: UTF8.self)
        }
    }

    // MARK: Files and headers

    @Test func `every answer has the headers that keep other sites away`() async throws {
        try await serve(changes: AccessToken()) { port in
            let requests = [
                ("GET /", 200), ("GET /page.css", 200), ("GET /page.js", 200), ("GET /icon.svg", 200), ("GET /x", 404),
                ("POST /", 405), ("DELETE /events", 405), ("GET /actions/lock-evict", 405),
                ("POST /actions/lock-evict", 401), ("OPTIONS /", 405), ("GET /../page.js", 200), ("HEAD /", 200),
            ]
            for (request, status) in requests {
                let answer = try await answer(request, port: port)
                #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(request): \(answer)")
                for line in [
                    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src "
                        + "'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
                    "X-Content-Type-Options: nosniff", "Referrer-Policy: no-referrer", "Cache-Control: no-store",
                ] { #expect(answer.contains("\r\n\(line)\r\n"), "\(request): \(answer)") }
            }
            let page = try await answer("GET /?a=b", port: port)
            #expect(page.contains("Content-Type: text/html; charset=utf-8\r\n") && page.contains("<html"))
            let script = try await answer("GET /page.js", port: port)
            #expect(script.contains("Content-Type: text/javascript") && script.contains("EventSource"))
            #expect(try await answer("HEAD /", port: port).hasSuffix("\r\n\r\n"))
        }
    }

    @Test func `a request for another host is refused, with what to do`() async throws {
        try await serve(names: ["ZK.example.com"]) { port in
            for host in ["evil.example", "evil.example:80", "", "127.0.0.1.evil.example", "localhost.evil.example"] {
                let answer = try await answer("GET /", host: host, port: port)
                #expect(answer.hasPrefix("HTTP/1.1 403 ") && answer.contains("--allow-host"), "\(host): \(answer)")
            }
            for host in [
                "localhost:\(port)", "LOCALHOST", "127.0.0.1:\(port)", "10.0.0.7", "[::1]:80", "zk.example.com:1",
            ] {
                #expect(try await answer("GET /", host: host, port: port).hasPrefix("HTTP/1.1 200 "), "\(host)")
            }
        }
        #expect(!AllowedHosts().allow(nil) && !AllowedHosts().allow("1.2.3") && !AllowedHosts().allow("1.2.3.256"))
    }

    @Test func `another web site can neither read the states nor send commands`() async throws {
        let token = AccessToken()
        try await serve(changes: token) { port in
            let foreign = ["Sec-Fetch-Site: cross-site", "Authorization: Bearer \(token.text)"]
            let events = try await answer("GET /events", headers: foreign, port: port)
            #expect(events.hasPrefix("HTTP/1.1 403 "))
            let action = try await answer("POST /actions/leader-resign", headers: foreign, port: port)
            #expect(action.hasPrefix("HTTP/1.1 403 "))
            let link = try await answer("GET /", headers: foreign, port: port)
            #expect(link.hasPrefix("HTTP/1.1 200 "))
        }
    }

    // MARK: Events

    @Test func `a page receives the newest state at once and every later one`() async throws {
        feed.publish(#"{"a":0}"#)
        feed.publish(#"{"a":1}"#)
        try await serve { port in
            let source = try await EventSource(port: port)
            var events = source.events.makeAsyncIterator()
            #expect(await events.next() == #"{"a":1}"#)
            feed.publish(#"{"a":2}"#)
            #expect(await events.next() == #"{"a":2}"#)
            let other = try await EventSource(port: port)
            var others = other.events.makeAsyncIterator()
            #expect(await others.next() == #"{"a":2}"#)
            feed.publish(#"{"a":3}"#)
            #expect(await events.next() == #"{"a":3}"#)
            #expect(await others.next() == #"{"a":3}"#)
        }
    }

    @Test func `the stream is one of server-sent events, and begins with the time to reconnect`() async throws {
        feed.publish("{}")
        try await serve { port in
            let text = try await onOwnThread {
                let connection = try BlockingConnection(to: "127.0.0.1", port: port, timeout: .seconds(60))
                try connection.send(Array("GET /events HTTP/1.1\r\nHost: [::1]\r\n\r\n".utf8))
                var bytes: [UInt8] = []
                while !bytes.suffix(20).contains(UInt8(ascii: "}")) { bytes += try connection.receive(1) }
                return String(decoding: bytes, as: UTF8.self)
            }
            #expect(text.hasPrefix("HTTP/1.1 200 ") && text.contains("Content-Type: text/event-stream"))
            #expect(text.contains("Cache-Control: no-store") && text.contains("Content-Security-Policy: "))
            #expect(text.contains("retry: 1000\n\n\r\n"))
            #expect(text.hasSuffix("event: state\ndata: {}"), "\(text)")
        }
    }

    @Test func `more pages than allowed are refused until one is closed`() async throws {
        feed.publish("{}")
        let pages = (0..<DashboardFeed.maximumPages).map { _ in feed.open() }
        #expect(!pages.contains { $0 == nil } && feed.open() == nil)
        try await serve { port in
            let answer = try await answer("GET /events", port: port)
            #expect(answer.hasPrefix("HTTP/1.1 503 ") && answer.contains("pages are open"), "\(answer)")
        }
        withExtendedLifetime(pages) {}
    }

    @Test func `a page that is closed is no longer counted`() async throws {
        do {
            let page = feed.open()
            #expect(feed.pages == 1)
            withExtendedLifetime(page) {}
        }
        #expect(feed.pages == 0)
        try await feed.waitUntilUnused(for: .milliseconds(1))
    }

    @Test func `a page that does not read misses states, and then receives the newest one`() async throws {
        // 100 MB in all, far more than the kernel keeps for a connection.
        let (count, size) = (500, 200_000)
        feed.publish("{}")
        try await serve { port in
            let (opened, published) = (OneShot<Void>(), OneShot<Void>())
            async let received = onOwnThread {
                let connection = try BlockingConnection(to: "127.0.0.1", port: port, timeout: .seconds(60))
                try connection.send(Array("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8))
                _ = try connection.receive(10)
                opened.set(())
                _ = published.waitBlocking(until: nil)
                var (length, tail) = (0, [UInt8]())
                while tail.firstRange(of: "number \(count - 1)}".utf8) == nil {
                    guard let more = try connection.receive(upTo: 65_536), !more.isEmpty else { break }
                    length += more.count
                    tail = tail.suffix(100) + more
                }
                return length
            }
            try await opened.wait()
            for number in 0..<count {
                feed.publish("{" + String(repeating: "x", count: size) + "number \(number)}")
                // Lets the server write as much as the client's side takes.
                await Task.yield()
            }
            published.set(())
            let length = try await received
            print("a page that does not read received \(length) of \(count * size) bytes")
            #expect(length > size && length < count * size / 4)
        }
    }

    // MARK: Changes

    @Test func `without permission, nothing can be changed, and the refusal says what to do`() async throws {
        try await serve { port in
            let refused = try await answer("POST /actions/leader-resign", body: "{}", port: port)
            #expect(refused.hasPrefix("HTTP/1.1 403 ") && refused.contains("--allow-changes"), "\(refused)")
        }
    }

    @Test func `a command needs the token in a header, and a body in JSON`() async throws {
        let token = AccessToken()
        try await serve(changes: token) { port in
            func post(_ verb: String, _ token: String, _ body: String, type: String = "application/json") async throws
                -> String
            {
                try await answer(
                    "POST /actions/\(verb)", headers: ["Authorization: \(token)", "Content-Type: \(type)"], body: body,
                    port: port)
            }
            let bearer = "Bearer \(token.text)"
            let wrong = [
                "", "Bearer", "Bearer ", "Bearer x", token.text, "Basic \(token.text)", bearer + "x",
                String(bearer.dropLast()), "Bearer \(AccessToken().text)",
            ]
            for header in wrong {
                let answer = try await post("leader-resign", header, "{}")
                #expect(answer.hasPrefix("HTTP/1.1 401 ") && answer.contains("WWW-Authenticate: Bearer"), "\(header)")
            }
            #expect(
                try await answer(
                    "POST /actions/leader-resign?token=\(token.text)", body: "{}", port: port
                ).hasPrefix("HTTP/1.1 401 "))
            #expect(try await post("leader-resign", bearer, "no JSON").hasPrefix("HTTP/1.1 400 "))
            #expect(try await post("leader-resign", bearer, #"{"id":"a"}"#).hasPrefix("HTTP/1.1 400 "))
            #expect(
                try await post("leader-resign", bearer, #"{"path":"/a","id":"a"}"#, type: "text/plain")
                    .hasPrefix("HTTP/1.1 400 "))
            let unknown = try await post("drop-all", "bearer \(token.text)", "{}")
            #expect(unknown.hasPrefix("HTTP/1.1 404 ") && unknown.contains("lock-evict"), "\(unknown)")
            let large = String(repeating: " ", count: HTTPRequestParser.maximumBody) + "{}"
            #expect(try await post("leader-resign", bearer, large).hasPrefix("HTTP/1.1 413 "))
            let invalid = try await post("leader-resign", bearer, #"{"path":"/a//b","id":"a"}"#)
            #expect(invalid.hasPrefix("HTTP/1.1 422 ") && invalid.contains("use a path such as /a/b"), "\(invalid)")
            #expect(try await post("leader-resign", bearer, #"{"path":"/a","id":""}"#).hasPrefix("HTTP/1.1 422 "))
        }
    }

    @Test func `values are arguments of their own, whatever they contain`() throws {
        func command(_ verb: DashboardVerb, _ change: (inout DashboardRequest) -> Void) throws -> any OperatorCommand {
            var request = DashboardRequest(path: "/a/b")
            (request.id, request.reason) = ("ada", "--dry-run\n=x y")
            change(&request)
            return try verb.command(for: request)
        }
        let cordon = try #require(
            try command(.partitionsCordon) { $0.name = "-n" } as? PartitionsCordonCommand)
        #expect(cordon.target.node == "-n" && cordon.target.path == "/a/b" && !cordon.operation.dryRun)
        #expect(cordon.operation.reason == "--dry-run\n=x y" && cordon.operation.operatorID == "ada")
        let evict = try #require(try command(.lockEvict) { $0.name = "--help" } as? LockEvictCommand)
        #expect(evict.target.holder == "--help")
        let answer = try #require(
            try command(.scheduleAnswer) { ($0.period, $0.decision) = ("2026-03-07", "rerun") }
                as? ScheduleAnswerCommand)
        #expect(answer.period == "2026-03-07" && answer.decision == .rerun)
        let unhold = try #require(try command(.exclusiveUnhold) { $0.name = "--yes" } as? ExclusiveUnholdCommand)
        #expect(unhold.owner == "--yes" && unhold.timeout == .seconds(30))
        let withdraw = try #require(try command(.scheduleWithdraw) { $0.kind = "skip" } as? ScheduleWithdrawCommand)
        #expect(withdraw.kind == .skip)
        #expect(throws: DashboardRefusal.self) { try command(.scheduleWithdraw) { $0.kind = "all" } }
        #expect(throws: DashboardRefusal.self) { try command(.exclusiveHold) { $0.reason = "" } }
        for verb in DashboardVerb.allCases where ![.leaderResign, .lockEvict, .lockReleaseRequest].contains(verb) {
            // These need nothing but a path, the operator and a reason.
            let needsMore =
                ![
                    .exclusiveHold, .exclusiveUnhold, .schedulePause, .scheduleResume, .scheduleNow, .scheduleSkip,
                    .scheduleWithdraw,
                ].contains(verb)
            let isRefused = (try? command(verb) { _ in }) == nil
            // A name may be any text for `exclusive evict`: the window says whether it has such a processor.
            if verb != .exclusiveEvict { #expect(isRefused == needsMore, "\(verb)") }
        }
    }

    @Test func `a command does not take effect long after its page has given up`() async throws {
        /// A clock on which every deadline has passed.
        struct LateClock: MonotonicClock {
            let now = SystemMonotonicClock().now
            func sleep(until deadline: MonotonicInstant) async throws { try Task.checkCancellation() }
        }
        let connection = try ConnectionOptions.parse(["--connect", "127.0.0.1:9", "--connect-timeout", "1h"])
        let actions = DashboardActions(connection: connection, clock: LateClock())
        var request = DashboardRequest(path: "/a/b")
        (request.id, request.reason) = ("ada", "test")
        let hold = request
        let refusal = await #expect(throws: DashboardRefusal.self) { try await actions.perform(.exclusiveHold, hold) }
        #expect(refusal?.kind == .failed && refusal?.text.contains("no answer in time") == true)
    }

    @Test func `a token has no white space around it, and every character counts`() throws {
        let token = try #require(AccessToken(content: Array(" 0123456789abcdef\r\n".utf8)))
        #expect(token.isPresented(by: "Bearer 0123456789abcdef"))
        #expect(!token.isPresented(by: "Bearer 0123456789abcdeF") && !token.isPresented(by: nil))
        #expect(!token.isPresented(by: "Bearer 0123456789abcdef0123456789abcdef"))
        for content in ["", "short", "two tokens in one line", "0123456789abcdef\nsecond", "caf\u{e9}0123456789abcdef"]
        {
            #expect(AccessToken(content: Array(content.utf8)) == nil, "\(content)")
        }
        #expect(AccessToken().text.count == 64 && AccessToken().text != AccessToken().text)
    }

    @Test func `options that exclude each other are refused`() {
        for arguments in [
            ["--token-file", "/tmp/t"], ["--allow-changes", "--quiet"], ["--allow-host", "a:1"], ["--allow-host", ""],
            ["--listen", "localhost:1"], ["orders"],
        ] {
            #expect(throws: (any Error).self, "\(arguments)") { try DashboardCommand.parse(arguments) }
        }
        #expect(throws: Never.self) {
            try DashboardCommand.parse(["/", "/a", "--allow-changes", "--token-file", "/tmp/t", "--quiet"])
        }
    }
}
