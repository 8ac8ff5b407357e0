import FlyingFox
import FoundationEssentials
import ZooKeeper

/// Separates the bytes of a connection into HTTP/1.1 requests (RFC 9112), with limits for what it keeps.
///
/// FlyingFox's own parser has no limits, and takes quadratic time for a long line.
struct HTTPRequestParser: Sendable {
    /// Why the bytes are not a request; the connection cannot be used any more.
    struct Problem: Error, Equatable {
        var status: HTTPStatusCode
        var text: String

        init(_ status: HTTPStatusCode, _ text: String) { (self.status, self.text) = (status, text) }
    }

    /// The largest size of a request without its body, in bytes.
    static let maximumHead = 16_384
    /// The largest size of a body, in bytes.
    static let maximumBody = 65_536

    private struct Head {
        var method: String
        var target: HTTPRequest.Target
        var headers: [HTTPHeader: String]
        var bodyLength: Int
        /// Whether the client expects the connection to stay open after the answer.
        var keepsOpen: Bool
    }

    private var bytes: [UInt8] = []
    /// The number of bytes that are known not to end a line without text.
    private var searched = 0
    private var head: Head?

    /// Whether a part of a request has arrived.
    var hasBegun: Bool { head != nil || !bytes.isEmpty }

    mutating func add(_ part: [UInt8]) { bytes += part }

    /// Returns the next request, and whether the connection stays open; `nil` if its end has not arrived.
    mutating func next() throws(Problem) -> (request: HTTPRequest, keepsOpen: Bool)? {
        if head == nil {
            // Clients may send empty lines between requests.
            let blank = bytes.prefix { $0 == Self.lineFeed || $0 == Self.carriageReturn }.count
            if blank > 0 { bytes.removeFirst(blank) }
            let end = endOfHead()
            guard end ?? bytes.count <= Self.maximumHead else {
                throw Problem(
                    .requestHeaderFieldsTooLarge,
                    "the request line and the headers are larger than \(Self.maximumHead) bytes")
            }
            guard let end else { return nil }
            head = try Self.head(of: bytes.prefix(end))
            bytes.removeFirst(end)
            searched = 0
        }
        guard let found = head, bytes.count >= found.bodyLength else { return nil }
        let body = Data(bytes.prefix(found.bodyLength))
        bytes.removeFirst(found.bodyLength)
        head = nil
        let request = HTTPRequest(
            method: HTTPMethod(found.method), version: .http11, target: found.target,
            headers: HTTPHeaders(found.headers), body: HTTPBodySequence(data: body))
        return (request, found.keepsOpen)
    }

    private static let lineFeed = UInt8(ascii: "\n")
    private static let carriageReturn = UInt8(ascii: "\r")

    /// Returns the number of bytes up to the first empty line, including it.
    private mutating func endOfHead() -> Int? {
        while let feed = bytes[searched...].firstIndex(of: Self.lineFeed) {
            let next = bytes[(feed + 1)...].prefix(2)
            if next.first == Self.lineFeed { return feed + 2 }
            if next.elementsEqual([Self.carriageReturn, Self.lineFeed]) { return feed + 3 }
            // The bytes that decide may still be missing.
            if next.isEmpty || (next.count == 1 && next.first == Self.carriageReturn) {
                searched = feed
                return nil
            }
            searched = feed + 1
        }
        searched = bytes.count
        return nil
    }

    private static func head(of bytes: ArraySlice<UInt8>) throws(Problem) -> Head {
        guard let text = String(validating: bytes, as: UTF8.self),
            !text.unicodeScalars.contains(where: { $0.value < 0x20 && $0 != "\n" && $0 != "\r" && $0 != "\t" })
        else { throw Problem(.badRequest, "the request contains a control character, or is not valid UTF-8") }
        var lines = text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            Substring(line.last == "\r" ? line.dropLast() : line)
        }
        lines.removeLast(2)
        guard let first = lines.first, !lines.contains(where: { $0.unicodeScalars.contains("\r") }) else {
            throw Problem(.badRequest, "the request contains a control character, or is not valid UTF-8")
        }
        let parts = first.split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 3, !parts[0].isEmpty, parts[1].hasPrefix("/"), parts[2].hasPrefix("HTTP/") else {
            throw Problem(.badRequest, "the first line must be a method, a path and HTTP/1.1")
        }
        guard ["HTTP/1.1", "HTTP/1.0"].contains(parts[2]) else {
            throw Problem(.httpVersionNotSupported, "use HTTP/1.1")
        }
        let headers = try headers(in: lines.dropFirst())
        guard headers[.transferEncoding] == nil else {
            throw Problem(.notImplemented, "there is no support for Transfer-Encoding; use Content-Length")
        }
        guard let length = headers[.contentLength].map(length) ?? 0 else {
            throw Problem(.badRequest, "Content-Length must be a number")
        }
        guard length <= maximumBody else {
            throw Problem(.payloadTooLarge, "the body is larger than \(maximumBody) bytes")
        }
        let target = parts[1].split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let connection = headers[.connection]?.lowercased() ?? ""
        return Head(
            method: String(parts[0]),
            target: .init(path: String(target[0]), query: target.count > 1 ? String(target[1]) : ""),
            headers: headers, bodyLength: length,
            keepsOpen: parts[2] == "HTTP/1.1" ? !connection.contains("close") : connection.contains("keep-alive"))
    }

    private static func headers(in lines: ArraySlice<Substring>) throws(Problem) -> [HTTPHeader: String] {
        var headers: [HTTPHeader: String] = [:]
        for line in lines {
            let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[0].isEmpty, !parts[0].contains(where: \.isWhitespace) else {
                throw Problem(.badRequest, "a header must be a name, a colon and a value")
            }
            let (name, value) = (HTTPHeader(String(parts[0])), withoutBlanks(parts[1]))
            if let earlier = headers[name], earlier != value, [.contentLength, .host].contains(name) {
                throw Problem(.badRequest, "the header \(name.rawValue) occurs twice, with different values")
            }
            headers[name] = value
        }
        return headers
    }

    private static func withoutBlanks(_ value: Substring) -> String {
        let isBlank = { (character: Character) in character == " " || character == "\t" }
        let start = value.drop(while: isBlank)
        return String(start.prefix(start.count - start.reversed().prefix(while: isBlank).count))
    }

    /// Parses a value of `Content-Length`; returns `nil` if it is not a number.
    private static func length(_ value: String) -> Int? {
        guard !value.isEmpty, value.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        // More digits are more than any limit.
        return Int(value) ?? .max
    }
}
