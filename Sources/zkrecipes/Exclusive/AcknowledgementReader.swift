/// Finds the answers to requests among the bytes that a command writes.
///
/// A line answers a request if the command has begun it after the request. Each request has one answer, and all other
/// lines are dropped, so that a command that writes without end needs no memory.
struct AcknowledgementReader: Sendable {
    private struct Request {
        var number: Int
        var answer: [UInt8]
        /// The position in the input at the time of the request.
        var start: Int
    }

    /// The length from which on a line is no answer.
    private static let longestLine = 256
    private static let space = Set("\t\u{b}\u{c}\r ".utf8)

    /// The last request, until it is answered.
    private var request: Request?
    /// The number of bytes that were received.
    private var position = 0
    /// The beginning of the current line, and its position.
    private var line: [UInt8] = []
    private var lineStart = 0

    /// Expects the answer to a request from now on.
    ///
    /// - Parameters:
    ///   - answer: The line that is the answer; white space around it has no effect.
    ///   - number: The number of the request, which is higher than that of the request before.
    ///   - unread: The number of bytes that the command has written and that were not received yet.
    mutating func expect(_ answer: String, to number: Int, unread: Int) {
        request = Request(number: number, answer: Array(answer.utf8), start: position + unread)
    }

    /// Receives the next bytes.
    ///
    /// - Returns: The number of the request that they answer; `nil` if they answer none.
    mutating func receive(_ bytes: ArraySlice<UInt8>) -> Int? {
        var answered: Int?
        for part in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            if part.startIndex > bytes.startIndex {
                // A line break precedes the part.
                answered = endLine() ?? answered
                position += 1
                (line, lineStart) = ([], position)
            }
            line += part.prefix(Self.longestLine - line.count)
            position += part.count
        }
        return answered
    }

    private mutating func endLine() -> Int? {
        guard let request, lineStart >= request.start, line.count < Self.longestLine else { return nil }
        let word = line.drop { Self.space.contains($0) }
        guard word.starts(with: request.answer) else { return nil }
        guard word.dropFirst(request.answer.count).allSatisfy({ Self.space.contains($0) }) else { return nil }
        self.request = nil
        return request.number
    }
}
