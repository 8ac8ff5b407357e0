import Glibc
import Testing
import ZooKeeperTransport

@testable import ZooKeeperBridge

@Suite(.timeLimit(.minutes(5)))
struct LeakTests {
    @Test func `a handle opened and closed 1,000 times leaves no thread, descriptor or memory behind`() async {
        // In a process of its own: no other test opens or closes anything there.
        await #expect(processExitsWith: .success) {
            guard
                let server = FakeServer(handle: {
                    $0.grantSession()
                    $0.swallowRequests()
                })
            else { exit(2) }
            try await openAndClose(100, server: server)
            let before = Usage()
            try await openAndClose(1_000, server: server)
            // The threads of the connection closed last end just after it, the queues' threads when they are idle. A leak
            // would be a thousand.
            var after = Usage()
            while after.threads > before.threads + 8 || after.descriptors > before.descriptors + 8 {
                await Task.yield()
                after = Usage()
            }
            print("before: \(before), after: \(after)")
            // A connection that leaked would cost 16 KiB and more; sanitizers keep freed memory on purpose.
            if !after.isSanitized, after.residentKilobytes > before.residentKilobytes + 4_096 { exit(3) }
            exit(0)
        }
    }
}

private func openAndClose(_ count: Int, server: FakeServer) async throws {
    for round in 0..<count {
        let session = BridgeSession(
            to: [server.name], credentials: [TransportCredential(scheme: "digest", credential: Array("a:b".utf8))])
        try await session.connect()
        for number in 0..<5 { session.post(number, .getData(path: "/\(number)", watch: true)) }
        session.post(5, .create("/a", [1, 2, 3]))
        await session.connection.close(round.isMultiple(of: 2) ? .endSession : .keepSession)
        guard session.replies.count == 6 else { exit(4) }
    }
}

/// What this process uses, as the kernel counts it.
private struct Usage: CustomStringConvertible {
    var threads = 0
    var descriptors = 0
    var residentKilobytes = 0
    var isSanitized = false

    init() {
        threads = entries("/proc/self/task")
        descriptors = entries("/proc/self/fd")
        guard let file = fopen("/proc/self/status", "r") else { return }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        while fgets(&line, 256, file) != nil {
            let words = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
                .split { $0.isWhitespace }
            guard words.count >= 2, let value = Int(words[1]) else { continue }
            if words[0] == "VmRSS:" { residentKilobytes = value }
            // Their shadow memory takes terabytes of addresses.
            if words[0] == "VmSize:" { isSanitized = value > 1 << 30 }
        }
    }

    var description: String { "\(threads) threads, \(descriptors) descriptors, \(residentKilobytes) KiB" }
}

private func entries(_ folder: String) -> Int {
    guard let directory = opendir(folder) else { return 0 }
    defer { closedir(directory) }
    var count = 0
    while readdir(directory) != nil { count += 1 }
    return count
}
