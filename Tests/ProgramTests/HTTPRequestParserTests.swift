import FlyingFox
import FoundationEssentials
import Testing

@testable import zkrecipes

/// How the bytes of a connection become requests.
@Suite struct HTTPRequestParserTests {
    private func parse(_ text: String, partSize: Int = .max) throws -> [(request: HTTPRequest, keepsOpen: Bool)] {
        var (parser, found) = (HTTPRequestParser(), [(request: HTTPRequest, keepsOpen: Bool)]())
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let part = rest.prefix(partSize)
            parser.add(Array(part))
            rest = rest.dropFirst(part.count)
            while let next = try parser.next() { found.append(next) }
        }
        #expect(!parser.hasBegun)
        return found
    }

    @Test(arguments: [1, 2, 3, 7, .max])
    func `requests are found wherever their parts end`(partSize: Int) async throws {
        let found = try parse(
            "GET /a%20b?c=d HTTP/1.1\r\nHost: h:1\r\nX-Y:  z \r\n\r\n\r\nPOST /p HTTP/1.1\r\nhost: h\r\n"
                + "content-length: 5\r\n\r\nh\r\n\r\nGET / HTTP/1.0\n\n", partSize: partSize)
        #expect(found.map(\.request.method) == [.GET, .POST, .GET])
        #expect(found.map(\.request.path) == ["/a b", "/p", "/"])
        #expect(found[0].request.query.map(\.name) == ["c"])
        #expect(found[0].request.headers[.host] == "h:1" && found[0].request.headers[HTTPHeader("x-y")] == "z")
        #expect(try await found[1].request.bodyData == Data("h\r\n\r\n".utf8))
        #expect(found.map(\.keepsOpen) == [true, true, false])
    }

    @Test(arguments: [("1.1", "close", false), ("1.1", "Keep-Alive", true), ("1.0", "keep-alive", true)])
    func `a client decides whether its connection stays open`(version: String, value: String, isOpen: Bool) throws {
        let found = try parse("GET / HTTP/\(version)\r\nHost: h\r\nConnection: \(value)\r\n\r\n")
        #expect(found.map(\.keepsOpen) == [isOpen])
    }

    @Test(arguments: [
        ("GET /\r\n\r\n", 400), ("GET  / HTTP/1.1\r\n\r\n", 400), ("GET http://h/ HTTP/1.1\r\n\r\n", 400),
        (" / HTTP/1.1\r\n\r\n", 400), ("GET / HTTP/2.0\r\n\r\n", 505), ("GET / http/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nA\r\n\r\n", 400), ("GET / HTTP/1.1\r\n: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nA : b\r\n\r\n", 400), ("GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nA: b\0\r\n\r\n", 400), ("GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400), ("GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nContent-Length: 65537\r\n\r\n", 413),
        ("GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 413),
        ("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
    ])
    func `what is not a request is refused`(text: String, status: Int) {
        let problem = #expect(throws: HTTPRequestParser.Problem.self) { try parse(text) }
        #expect(problem?.status.code == status)
    }

    @Test func `bytes that are not UTF-8 are refused`() {
        var parser = HTTPRequestParser()
        parser.add(Array("GET /".utf8) + [0xff] + Array(" HTTP/1.1\r\n\r\n".utf8))
        #expect(throws: HTTPRequestParser.Problem.self) { try parser.next() }
    }

    @Test(arguments: [true, false]) func `a head beyond the limit is refused without its end`(hasLines: Bool) throws {
        var parser = HTTPRequestParser()
        parser.add(Array("GET / HTTP/1.1\r\n".utf8))
        let line = hasLines ? "Name: value\r\n" : "aaaaaaaaaaaaa"
        var size = 16
        while size + line.utf8.count <= HTTPRequestParser.maximumHead {
            parser.add(Array(line.utf8))
            size += line.utf8.count
            #expect(try parser.next() == nil)
        }
        parser.add(Array(line.utf8))
        let problem = #expect(throws: HTTPRequestParser.Problem.self) { try parser.next() }
        #expect(problem?.status.code == 431)
    }

    @Test func `the largest body is accepted`() async throws {
        let body = String(repeating: "b", count: HTTPRequestParser.maximumBody)
        let found = try parse("POST / HTTP/1.1\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)", partSize: 4096)
        #expect(try await found.first?.request.bodyData.count == body.utf8.count)
    }
}
