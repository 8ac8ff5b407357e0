import Foundation
import Glibc
import SystemSupport
import ZooKeeperTestKit

/// A headless Chromium, which a test controls over the WebDriver protocol.
struct Browser: Sendable {
    /// The reason why the browser could not do something.
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    private let port: Int
    /// The path of the WebDriver session.
    private let session: String

    /// Runs an operation with a browser, which is closed afterwards.
    static func with<Result: Sendable>(_ body: (Browser) async throws -> Result) async throws -> Result {
        let driver = try TestProcess(try path(ofProgram: "chromedriver"), arguments: ["--port=0"])
        let line = try await driver.line { $0.contains("started successfully on port") }
        guard let port = line.split(whereSeparator: { !$0.isNumber }).last.flatMap({ Int($0) }) else {
            throw Failure(description: "chromedriver reports no port: \(line)")
        }
        let created: NewSession = try value(
            of: try await answer("POST", "/session", ["capabilities": ["alwaysMatch": try capabilities()]], port: port))
        let browser = Browser(port: port, session: "/session/\(created.sessionId)")
        let result: Swift.Result<Result, any Error>
        do {
            try await browser.observeProblems()
            result = .success(try await body(browser))
        } catch {
            result = .failure(error)
        }
        // Without this, the processes of Chromium would outlive their driver.
        _ = try? await Self.answer("DELETE", browser.session, nil, port: port)
        await driver.kill()
        return try result.get()
    }

    private struct NewSession: Decodable {
        var sessionId: String
    }

    private static func capabilities() throws -> [String: Any] {
        [
            "browserName": "chrome", "unhandledPromptBehavior": "ignore", "timeouts": ["script": 60_000],
            "goog:loggingPrefs": ["browser": "ALL"],
            "goog:chromeOptions": [
                "binary": try path(ofProgram: "chromium"),
                // Chromium refuses to run its sandbox as root.
                "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
            ] as [String: Any],
        ]
    }

    private static func path(ofProgram name: String) throws -> String {
        let folders = (inheritedEnvironment()["PATH"] ?? "/usr/bin").split(separator: ":")
        let paths: [String] = folders.map { "\($0)/\(name)" }
        guard let path = paths.first(where: { access($0, X_OK) == 0 }) else {
            throw Failure(description: "there is no program \(name) in PATH: `.ci/bootstrap --tests` installs it")
        }
        return path
    }

    // MARK: The protocol

    /// Sends a command to the driver, and returns the body of its answer.
    private static func answer(
        _ method: String, _ path: String, _ body: [String: Any]?, port: Int
    ) async throws -> Data {
        let content = try body.map { Array(try JSONSerialization.data(withJSONObject: $0)) } ?? []
        let head =
            "\(method) \(path) HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            + "Content-Length: \(content.count)\r\n\r\n"
        let (status, bytes) = try await onOwnThread {
            let connection = try BlockingConnection(to: "127.0.0.1", port: port, timeout: .seconds(90))
            try connection.send(Array(head.utf8) + content)
            // The driver keeps the connection open, so the length of its answer is in the head.
            var received: [UInt8] = []
            while !received.suffix(4).elementsEqual("\r\n\r\n".utf8) { received += try connection.receive(1) }
            let lines = String(decoding: received, as: UTF8.self).split(whereSeparator: \.isNewline)
            let length = lines.first { $0.lowercased().hasPrefix("content-length:") }?.split(separator: ":").last
            let count = length.flatMap { Int($0.filter(\.isNumber)) } ?? 0
            return (String(lines.first ?? ""), try connection.receive(count))
        }
        guard status.contains(" 200 ") else {
            throw Failure(description: "\(method) \(path): \(String(decoding: bytes.prefix(2000), as: UTF8.self))")
        }
        return Data(bytes)
    }

    private static func value<Value: Decodable>(of data: Data) throws -> Value {
        try JSONDecoder().decode(Answer<Value>.self, from: data).value
    }

    private struct Answer<Value: Decodable>: Decodable {
        var value: Value
    }

    @discardableResult
    private func send(_ path: String, _ body: [String: Any]) async throws -> Data {
        try await Self.answer("POST", session + path, body, port: port)
    }

    /// Sends a command of the DevTools protocol.
    @discardableResult
    private func tools(_ command: String, _ parameters: [String: Any] = [:]) async throws -> Data {
        try await send("/goog/cdp/execute", ["cmd": command, "params": parameters])
    }

    // MARK: Pages

    func open(_ address: String) async throws { try await send("/url", ["url": address]) }

    /// Runs a script in the page and returns what it returns.
    func evaluate<Value: Decodable>(_ script: String, as type: Value.Type = Value.self) async throws -> Value {
        try Self.value(of: try await send("/execute/sync", ["script": script, "args": [String]()]))
    }

    /// Runs a script in the page.
    func run(_ script: String) async throws { try await send("/execute/sync", ["script": script, "args": [String]()]) }

    /// Runs a script that calls the function `done` with its result.
    func evaluateLater<Value: Decodable>(_ script: String, as type: Value.Type = Value.self) async throws -> Value {
        let script = "const done = arguments[arguments.length - 1]; \(script)"
        return try Self.value(of: try await send("/execute/async", ["script": script, "args": [String]()]))
    }

    /// Waits until an expression is true in a frame of the page.
    func wait(until expression: String) async throws {
        let script = """
            const isTrue = () => { try { return Boolean(\(expression)); } catch { return false; } };
            const check = () => { if (isTrue()) done(true); else requestAnimationFrame(check); };
            check();
            """
        do {
            _ = try await evaluateLater(script, as: Bool.self)
        } catch let error as Failure {
            let text = try await evaluate("return document.body.innerText.slice(0, 3000)", as: String.self)
            throw Failure(description: "it did not become true: \(expression)\n\(error)\nThe page:\n\(text)")
        }
    }

    /// Presses a key in the element that has the focus.
    func press(_ key: Key) async throws {
        let actions = ["keyDown", "keyUp"].map { ["type": $0, "value": key.rawValue] }
        try await send("/actions", ["actions": [["type": "key", "id": "keyboard", "actions": actions]]])
    }

    enum Key: String {
        case tab = "\u{E004}"
        case enter = "\u{E007}"
        case escape = "\u{E00C}"
    }

    /// Emulates a screen.
    func setScreen(width: Int, height: Int, scale: Int = 1, isDark: Bool = false) async throws {
        try await tools(
            "Emulation.setDeviceMetricsOverride",
            ["width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 600])
        let scheme = ["name": "prefers-color-scheme", "value": isDark ? "dark" : "light"]
        try await tools("Emulation.setEmulatedMedia", ["features": [scheme]])
    }

    // MARK: Problems

    /// Records errors, violations of the content security policy, and dialogs of each page that is opened later.
    private func observeProblems() async throws {
        let source = """
            window.pageProblems = [];
            const note = (text) => window.pageProblems.push(text);
            addEventListener("error", (event) => note(`error: ${event.message ?? event.target?.src}`), true);
            addEventListener("unhandledrejection", (event) => note(`rejection: ${event.reason}`));
            addEventListener("securitypolicyviolation", (event) => note(`policy: ${event.violatedDirective}`));
            for (const name of ["alert", "confirm", "prompt", "print", "open"]) window[name] = () => note(`dialog: ${name}`);
            """
        try await tools("Page.addScriptToEvaluateOnNewDocument", ["source": source])
    }

    /// Returns what has been recorded for the page, and the lines of its console.
    func problems() async throws -> [String] {
        struct Line: Decodable {
            var level, message: String
        }
        let lines: [Line] = try Self.value(of: try await send("/se/log", ["type": "browser"]))
        return try await evaluate("return window.pageProblems") + lines.map { "\($0.level): \($0.message)" }
    }

    // MARK: What screen readers and people see

    /// An element as screen readers see it.
    struct AccessibleElement: Decodable {
        struct Value: Decodable {
            var value: String?
        }

        struct Property: Decodable {
            struct Content: Decodable {
                var value: Bool?

                init(from decoder: any Decoder) throws {
                    value = try? decoder.container(keyedBy: Keys.self).decode(Bool.self, forKey: .value)
                }

                private enum Keys: String, CodingKey { case value }
            }

            var name: String
            var value: Content
        }

        var ignored: Bool
        var role, name: Value?
        var properties: [Property]?

        var isFocusable: Bool { properties?.contains { $0.name == "focusable" && $0.value.value == true } ?? false }
    }

    func accessibleElements() async throws -> [AccessibleElement] {
        struct Tree: Decodable {
            var nodes: [AccessibleElement]
        }
        let tree: Tree = try Self.value(of: try await tools("Accessibility.getFullAXTree"))
        return tree.nodes.filter { !$0.ignored }
    }

    /// Writes a picture of a part of the page, in PNG.
    ///
    /// - Parameter selector: The elements that the picture shows, by a CSS selector.
    func writePicture(of selector: String, to path: String) async throws {
        struct Area: Decodable {
            var x, y, width, height: Double
        }
        let area: Area = try await evaluate(
            """
            const areas = [...document.querySelectorAll('\(selector)')].map((element) => element.getBoundingClientRect());
            const top = Math.min(...areas.map((area) => area.top)) + scrollY - 16;
            const bottom = Math.max(...areas.map((area) => area.bottom)) + scrollY + 16;
            return { x: 0, y: Math.max(0, top), width: innerWidth, height: bottom - Math.max(0, top) };
            """)
        struct Picture: Decodable {
            var data: Data
        }
        let clip = ["x": area.x, "y": area.y, "width": area.width, "height": area.height, "scale": 1]
        let picture: Picture = try Self.value(
            of: try await tools(
                "Page.captureScreenshot", ["format": "png", "captureBeyondViewport": true, "clip": clip]))
        try picture.data.write(to: URL(fileURLWithPath: path))
    }
}
