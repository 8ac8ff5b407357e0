import Glibc
import Testing

@testable import ZooKeeper

/// What is granted again and again for years must leave nothing in memory.
@Suite(.timeLimit(.minutes(5)))
struct HeldNodeMemoryTests {
    @Test func `a hundred thousand grants and waits leave nothing in memory`() async {
        // In a process of its own: no other test allocates anything there.
        await #expect(processExitsWith: .success) {
            let scripted = try ScriptedClient()
            let running = Task { try await scripted.client.run() }
            _ = try await scripted.connected()
            let session = try await scripted.client.connectedSession()
            try await grantAndRelease(1_000, in: session)
            let before = residentKilobytes()
            try await grantAndRelease(100_000, in: session)
            let after = residentKilobytes()
            print("before: \(before) KiB, after: \(after) KiB")
            // 100 bytes a grant would be 10 MB. Sanitizers keep freed memory on purpose.
            if before < 1_000_000, after > before + 8_192 { exit(3) }
            scripted.client.stopImmediately()
            try await running.value
            exit(0)
        }
    }
}

/// Holds a znode as a lock does, observes it, lets go, and cancels a wait with a limit of an hour.
private func grantAndRelease(_ count: Int, in session: SessionHandle) async throws {
    let clock = SystemMonotonicClock()
    for number in 0..<count {
        let held = session.hold("/locks/\(number)", czxid: ZXID(rawValue: 7), watchingAfter: .seconds(60))
        held.onLoss { [held] _ in _ = held.path }
        held.onWrite { [held] _ in _ = held.path }
        let timer = Task { try await clock.sleep(until: clock.now + .seconds(3600)) }
        timer.cancel()
        _ = try? await timer.value
        held.release()
    }
}

private func residentKilobytes() -> Int {
    guard let file = fopen("/proc/self/status", "r") else { return 0 }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 256)
    while fgets(&line, 256, file) != nil {
        let words = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            .split { $0.isWhitespace }
        if words.count >= 2, words[0] == "VmRSS:", let value = Int(words[1]) { return value }
    }
    return 0
}
