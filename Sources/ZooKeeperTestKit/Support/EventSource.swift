import SystemSupport
import ZooKeeper

/// A client of a stream of server-sent events, for tests of programs that serve one.
package final class EventSource: Sendable {
    /// The data of each event, in order; it ends when the server ends the stream.
    package let events: AsyncStream<String>
    private let closed: OneShot<Void>

    /// Opens a stream, on a thread of its own.
    ///
    /// - Throws: ``TestKitError`` if the answer is no stream of events.
    package init(port: Int, host: String = "127.0.0.1", path: String = "/events") async throws {
        let (events, input) = AsyncStream.makeStream(of: String.self)
        let (head, closed) = (OneShot<String>(), OneShot<Void>())
        (self.events, self.closed) = (events, closed)
        detachThread {
            do {
                try Self.read(host, port, path, head, closed) { input.yield($0) }
            } catch {
                // If the head was received before, the stream has ended.
                head.set("\(error)")
            }
            input.finish()
        }
        let answer = try await head.wait()
        guard answer.hasPrefix("HTTP/1.1 200 ") else {
            throw TestKitError(.noResponse, "no stream of events: \(answer)")
        }
    }

    deinit { close() }

    /// Closes the connection, within 200 ms.
    package func close() { closed.set(()) }

    private static func read(
        _ host: String, _ port: Int, _ path: String, _ head: OneShot<String>, _ closed: OneShot<Void>,
        _ handle: (String) -> Void
    ) throws(SocketError) {
        let connection = try BlockingConnection(to: host, port: port, timeout: .milliseconds(200))
        try connection.send(Array("GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8))
        var parser = Parser()
        while closed.value == nil {
            guard let more = try connection.receive(upTo: 65_536) else { continue }
            guard !more.isEmpty else { break }
            parser.bytes += more
            if head.value == nil, let text = parser.head() { head.set(text) }
            if head.value != nil { for event in parser.events() { handle(event) } }
        }
        head.set("the connection was closed")
    }

    /// Returns the index after the first occurrence of a text.
    private static func end(of text: String, in bytes: ArraySlice<UInt8>) -> Int? {
        bytes.firstRange(of: text.utf8)?.upperBound
    }

    /// Takes the chunks of a body apart, and the events in them.
    private struct Parser {
        var bytes = ArraySlice<UInt8>()
        private var text = ArraySlice<UInt8>()

        /// Returns the head of the answer once it is complete.
        mutating func head() -> String? {
            guard let end = EventSource.end(of: "\r\n\r\n", in: bytes) else { return nil }
            defer { bytes = bytes[end...] }
            return String(decoding: bytes[..<end], as: UTF8.self)
        }

        /// Returns the data of the events that are complete.
        mutating func events() -> [String] {
            while let end = EventSource.end(of: "\r\n", in: bytes.prefix(20)),
                let length = Int(String(decoding: bytes[..<(end - 2)], as: UTF8.self), radix: 16),
                bytes.endIndex >= end + length + 2
            {
                text += bytes[end..<(end + length)]
                bytes = bytes[(end + length + 2)...]
            }
            var events: [String] = []
            while let end = EventSource.end(of: "\n\n", in: text) {
                let lines = text[..<(end - 2)].split(separator: UInt8(ascii: "\n"))
                let data = lines.filter { $0.starts(with: "data: ".utf8) }.map { $0.dropFirst(6) }
                if !data.isEmpty { events.append(String(decoding: Array(data.joined(separator: [10])), as: UTF8.self)) }
                text = text[end...]
            }
            return events
        }
    }
}
