import Glibc
import Testing
import ZooKeeperTestKit

@Suite(.timeLimit(.minutes(2)))
struct TestProcessTests {
    @Test func `lines and the exit status are told`() async throws {
        let process = try TestProcess("/bin/sh", arguments: ["-c", "echo one; echo two; printf three; exit 7"])
        var lines: [String] = []
        for try await line in process.lines { lines.append(line) }
        #expect(lines == ["one", "two", "three"])
        #expect(try await process.waitForExit() == .exited(7))
        #expect(try await process.line { $0.hasPrefix("t") } == "two")
    }

    @Test func `a process gets nothing of ours but its output`() async throws {
        let leak = open("/dev/null", O_RDONLY)
        defer { close(leak) }
        let process = try TestProcess("/bin/sh", arguments: ["-c", "ls /proc/$$/fd"])
        var descriptors: [String] = []
        for try await line in process.lines { descriptors.append(line) }
        #expect(descriptors == ["0", "1", "2"])
    }

    @Test func `a process reads the lines that are sent to it`() async throws {
        let process = try TestProcess(
            "/bin/sh", arguments: ["-c", "while read -r line; do echo got $line; [ $line = two ] && exit; done"],
            takesInput: true)
        try process.send(line: "one")
        try await process.line { $0 == "got one" }
        try process.send(line: "two")
        try await process.line { $0 == "got two" }
        #expect(try await process.waitForExit() == .exited(0))
        #expect(throws: TestKitError.self) { try process.send(line: "three") }
        let deaf = try TestProcess("/bin/sleep", arguments: ["600"])
        #expect(throws: TestKitError.self) { try deaf.send(line: "one") }
    }

    @Test func `a frozen process does nothing until it is resumed`() async throws {
        let process = try TestProcess(
            "/bin/sh", arguments: ["-c", "trap 'echo heard' USR1; echo ready; while :; do sleep 0.02; done"])
        try await process.line { $0 == "ready" }
        try process.pause()
        try await waitUntil { state(of: process.id) == "T" }
        #expect(kill(process.id, SIGUSR1) == 0)
        #expect(state(of: process.id) == "T")
        try process.resume()
        try await process.line { $0 == "heard" }
        #expect(await process.kill() == .signalled(SIGKILL))
        #expect(throws: TestKitError.self) { try process.pause() }
    }

    @Test func `waiting for an end can be cancelled`() async throws {
        let process = try TestProcess("/bin/sleep", arguments: ["600"])
        let waiter = Task { try await process.waitForExit() }
        waiter.cancel()
        await #expect(throws: CancellationError.self) { try await waiter.value }
        await process.kill()
    }

    @Test func `a program that is not there is named`() throws {
        let error = #expect(throws: TestKitError.self) { try TestProcess("/nowhere/program") }
        #expect(error?.code == .startFailed)
        #expect(error?.message.contains("/nowhere/program") == true)
    }

    @Test func `a server ends with its parent, also when that is killed`() async throws {
        let holder = try TestProcess(TestProcess.path(ofProduct: "HoldServer"))
        var lines = holder.lines.makeAsyncIterator()
        let server = try #require(try await lines.next().flatMap { pid_t($0) })
        let folder = try #require(try await lines.next())
        #expect(kill(server, 0) == 0)
        #expect(access(folder, F_OK) == 0)
        #expect(await holder.kill() == .signalled(SIGKILL))
        try await waitUntil { isGone(server) && access(folder, F_OK) != 0 }
    }
}

@Suite
struct JavaRuntimeTests {
    @Test func `missing java is named with its package`() throws {
        let error = #expect(throws: TestKitError.self) { try JavaRuntime.find(environment: ["PATH": "/nowhere"]) }
        #expect(error?.code == .missingJava)
        #expect(error?.message.contains("default-jre-headless") == true)
    }

    @Test func `a wrong JAVA_HOME is named`() throws {
        let error = #expect(throws: TestKitError.self) { try JavaRuntime.find(environment: ["JAVA_HOME": "/nowhere"]) }
        #expect(error?.message.contains("/nowhere/bin/java") == true)
    }

    @Test func `missing jars are named with their package`() throws {
        var environment = ["ZK_JARS": "/nowhere"]
        environment["PATH"] = getenv("PATH").map { String(cString: $0) }
        let error = #expect(throws: TestKitError.self) { try JavaRuntime.find(environment: environment) }
        #expect(error?.code == .missingJars)
        #expect(error?.message.contains("/nowhere/zookeeper.jar") == true)
        #expect(error?.message.contains("apt-get install zookeeper") == true)
    }
}

/// The state letter of a process, such as `T` for stopped.
private func state(of process: pid_t) -> Character? {
    statusField("State:", of: process)?.first
}

/// Whether a process has ended, waited for by its parent or not.
private func isGone(_ process: pid_t) -> Bool {
    kill(process, 0) != 0 || state(of: process) == "Z"
}

private func statusField(_ name: String, of process: pid_t) -> String? {
    guard let file = fopen("/proc/\(process)/status", "r") else { return nil }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 256)
    while fgets(&line, 256, file) != nil {
        let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        if text.hasPrefix(name) { return String(text.dropFirst(name.count).drop { $0 == "\t" || $0 == " " }) }
    }
    return nil
}
