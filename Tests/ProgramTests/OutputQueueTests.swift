import Glibc
import Synchronization
import Testing

@testable import CommandLineSupport

/// The queue of the program's output, with pipes whose readers are slow, stuck or gone.
@Suite(.timeLimit(.minutes(5))) struct OutputQueueTests {
    /// A pipe, which the test reads; it is not closed, because the thread of the queue may still use it.
    private final class Pipe: Sendable {
        let read, write: Int32

        init(isFull: Bool = false) {
            var pair: [Int32] = [-1, -1]
            pipe(&pair)
            (read, write) = (pair[0], pair[1])
            guard isFull else { return }
            let bytes = [UInt8](repeating: 0, count: 65_536)
            #expect(Glibc.write(write, bytes, bytes.count) == bytes.count)
        }

        /// Reads a number of bytes, and blocks until they are there.
        func take(_ count: Int) -> [UInt8] {
            var bytes: [UInt8] = []
            while bytes.count < count {
                var buffer = [UInt8](repeating: 0, count: count - bytes.count)
                let count = Glibc.read(read, &buffer, buffer.count)
                guard count > 0 else { break }
                bytes += buffer[..<count]
            }
            return bytes
        }

        func text(_ count: Int) -> String { String(decoding: take(count), as: UTF8.self) }
    }

    /// The errors of writes.
    private final class Failures: Sendable {
        let all = Mutex<[String]>([])
    }

    private func queue(
        _ results: Pipe, _ messages: Pipe, limit: Int = 1 << 20, _ failures: Failures = Failures()
    ) -> OutputQueue {
        OutputQueue(results: results.write, messages: messages.write, limit: limit, patience: .milliseconds(50)) {
            stream, code in failures.all.withLock { $0.append("\(stream) \(code)") }
        }
    }

    @Test func `texts are written in order, also if both descriptors are the same pipe`() async {
        let pipe = Pipe()
        let queue = queue(pipe, pipe)
        for number in 0..<10 { queue.append("\(number)", to: number.isMultiple(of: 3) ? .messages : .results) }
        #expect(await queue.finish())
        #expect(pipe.text(10) == "0123456789")
    }

    @Test func `a stuck reader holds up neither the caller nor the other descriptor, and the end only for a time`()
        async
    {
        let (results, messages) = (Pipe(isFull: true), Pipe())
        let queue = queue(results, messages)
        #expect(queue.append("result", to: .results))
        #expect(queue.append("message", to: .messages))
        #expect(messages.text(7) == "message")
        queue.end()
        await queue.waitUntilWritten()
        #expect(await !queue.finish())
    }

    @Test func `a signal during the wait at the end ends it`() async {
        let queue = queue(Pipe(isFull: true), Pipe())
        queue.append("result", to: .results)
        // It runs on this thread until it waits.
        let isComplete = Task.immediate { await queue.finish() }
        queue.end()
        #expect(await !isComplete.value)
    }

    @Test func `a slow reader loses nothing, without a signal`() async {
        let (results, line) = (Pipe(isFull: true), String(repeating: "x", count: 99) + "\n")
        let queue = queue(results, Pipe(), limit: 1000)
        // It runs on this thread until it waits, because the pipe and the queue are full.
        let writer = Task.immediate {
            for _ in 0..<2000 {
                await queue.waitForRoom()
                #expect(queue.append(line, to: .results))
            }
            return await queue.finish()
        }
        #expect(results.take(65_536) == [UInt8](repeating: 0, count: 65_536))
        let text = results.text(200_000)
        #expect(text == String(repeating: line, count: 2000))
        #expect(await writer.value)
        #expect(!queue.hasDropped)
    }

    @Test func `a full queue drops texts, and reports how many messages are missing`() async {
        let messages = Pipe(isFull: true)
        let queue = queue(Pipe(), messages, limit: 10)
        #expect(queue.append("0123456789", to: .messages))
        for _ in 0..<3 { #expect(!queue.append("lost", to: .messages)) }
        #expect(queue.append("result", to: .results))
        _ = messages.take(65_536)
        #expect(messages.text(10) == "0123456789")
        while queue.hasDropped, !queue.append("next\n", to: .messages) {}
        #expect(await queue.finish())
        var text = messages.text(15)
        while !text.hasSuffix("next\n") { text += messages.text(1) }
        #expect(text.hasPrefix("zkrecipes: ") && text.contains(" messages were dropped"))
        #expect(queue.hasDropped)
    }

    @Test func `failures are reported, and nothing more is queued without a reader`() async {
        let failures = Failures()
        let full = open("/dev/full", O_WRONLY)
        defer { close(full) }
        let queue = OutputQueue(results: full, messages: Pipe().write) { stream, code in
            failures.all.withLock { $0.append("\(stream) \(code)") }
        }
        for _ in 0..<2 { queue.append("result", to: .results) }
        #expect(await queue.finish())
        #expect(failures.all.withLock { $0 } == ["results \(ENOSPC)", "results \(ENOSPC)"])
    }
}
