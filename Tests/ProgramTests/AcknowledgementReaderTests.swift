import Testing

@testable import zkrecipes

@Suite struct AcknowledgementReaderTests {
    private func receive(_ text: String, _ reader: inout AcknowledgementReader) -> Int? {
        reader.receive(Array(text.utf8)[...])
    }

    @Test func `the expected line answers a request, once`() {
        var reader = AcknowledgementReader()
        reader.expect("paused", to: 3, unread: 0)
        #expect(receive("resumed\npause\npaused now\n\n", &reader) == nil)
        #expect(receive(" pau", &reader) == nil)
        #expect(receive("sed\r\npaused\n", &reader) == 3)
        #expect(receive("paused\npaused\n", &reader) == nil)
    }

    @Test func `lines from before a request do not answer it, even if they are read after it`() {
        var reader = AcknowledgementReader()
        #expect(receive("paused\npaus", &reader) == nil)
        // These are in the pipe at the time of the request.
        let stale = "ed\npaused\npaused\n"
        reader.expect("paused", to: 1, unread: stale.utf8.count)
        #expect(receive(stale, &reader) == nil)
        #expect(receive("paused\n", &reader) == 1)
        reader.expect("resumed", to: 2, unread: 3)
        #expect(receive("resumed\n", &reader) == nil)
        #expect(receive("resumed\n", &reader) == 2)
    }

    @Test func `a line without end needs no memory and is no answer`() {
        var reader = AcknowledgementReader()
        reader.expect("paused", to: 1, unread: 0)
        let flood = "paused" + String(repeating: " ", count: 100_000)
        for _ in 0..<3 { #expect(receive(flood, &reader) == nil) }
        #expect("\(reader)".utf8.count < 10_000)
        #expect(receive("\npaused\n", &reader) == 1)
    }
}
