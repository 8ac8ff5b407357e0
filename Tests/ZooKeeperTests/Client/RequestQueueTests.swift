import Testing
import ZooKeeperTransport

@testable import ZooKeeper

@Suite
struct RequestQueueTests {
    private let start = MonotonicInstant(nanoseconds: 0)
    private var queue = RequestQueue(maximumInFlight: 3)

    private func request(
        _ path: String, epoch: Int? = nil, batch: RequestBatch? = nil, whileClosing: Bool = false, size: Int = 0
    ) -> Outgoing {
        let pending = PendingRequest(.data(path: path), epoch: epoch, created: start, batch: batch)
        let encoded = TransportRequest.setData(path: path, data: Array(repeating: 0, count: size), version: -1)
        return Outgoing(pending: pending, encoded: encoded, isSentWhileClosing: whileClosing)
    }

    private mutating func submit(_ requests: Outgoing..., deadline: Int64? = nil) -> [String] {
        let refused = queue.submit(requests, deadline: deadline.map { start + .seconds($0) }).refused
        return paths(refused.map(\.pending))
    }

    private func paths(_ requests: [PendingRequest]) -> [String] { requests.compactMap(\.request.path) }

    private mutating func next(
        epoch: Int = 1, establishment: Int = 1, after seconds: Int64 = 0
    ) -> (outgoing: Outgoing, refusal: ZooKeeperError?)? {
        queue.next(epoch: epoch, establishment: establishment, now: start + .seconds(seconds))
    }

    /// Sends all that may be sent.
    private mutating func send() -> [Outgoing] {
        var sent: [Outgoing] = []
        while queue.maySend, let (outgoing, refusal) = next() {
            #expect(refusal == nil)
            queue.willSend(outgoing)
            sent.append(outgoing)
        }
        return sent
    }

    @discardableResult
    private mutating func settle(
        _ outgoing: Outgoing, _ code: ReplyCode, isPresent: Bool = true, establishment: Int = 1
    ) -> Int? {
        queue.settle(
            outgoing, by: TransportReply(code: code), isPresent: isPresent, establishment: establishment, now: start)
    }

    // MARK: Order and bounds

    @Test mutating func `requests are sent in their order, as many as may be unanswered`() {
        #expect(submit(request("/a"), request("/b")) == [])
        #expect(submit(request("/c"), request("/d"), request("/e")) == [])
        let sent = send()
        #expect(paths(sent.map(\.pending)) == ["/a", "/b", "/c"])
        #expect(!queue.maySend && !queue.isDrained)
        settle(sent[1], 0)
        #expect(paths(send().map(\.pending)) == ["/d"])
        #expect(queue.inFlight == 3)
    }

    @Test mutating func `a request that is sent first does not wait behind others`() {
        var beat = request("/beat")
        beat.isSentFirst = true
        #expect(submit(request("/a"), request("/b")) == [])
        #expect(submit(beat) == [])
        #expect(paths(send().map(\.pending)) == ["/beat", "/a", "/b"])
    }

    @Test mutating func `a request that was refused at once stalls the queue until the connection has said something`()
    {
        _ = submit(request("/a"), request("/b"), request("/c"), request("/d"))
        let sent = send()
        // This one was on its way for a while: lost with its connection.
        sent[0].pending.markSent()
        settle(sent[0], -4)
        #expect(queue.maySend)
        settle(sent[1], -4, isPresent: false)
        #expect(queue.maySend)
        settle(sent[2], -4)
        #expect(!queue.maySend)
        queue.isStalled = false
        #expect(paths(send().map(\.pending)) == ["/d"])
    }

    // MARK: What is not sent

    @Test mutating func `what was given up is left out`() {
        let given = request("/a")
        _ = submit(given, request("/b"))
        given.pending.finish(.success(.none))
        #expect(paths(send().map(\.pending)) == ["/b"])
    }

    @Test mutating func `a request of another session is refused`() {
        _ = submit(request("/a", epoch: 1), request("/b", epoch: 2))
        let first = next(epoch: 2)
        #expect(first?.refusal?.code == .sessionExpired)
        let second = next(epoch: 2)
        #expect(second?.outgoing.pending.request.path == "/b" && second?.refusal == nil)
    }

    @Test mutating func `a batch is not continued on another connection`() {
        let batch = RequestBatch()
        _ = submit(request("/a", batch: batch), request("/b", batch: batch))
        let first = next(establishment: 1)
        #expect(first != nil && first?.refusal == nil)
        #expect(next(establishment: 2)?.refusal?.code == .connectionLoss)
    }

    @Test mutating func `a size that three connections were lost with is refused, and a smaller one is sent`() throws {
        for establishment in 1...3 {
            _ = submit(request("/a", size: 5000))
            let sent = try #require(send().first)
            sent.pending.markSent()
            let refused = settle(sent, -4, establishment: establishment)
            #expect((refused != nil) == (establishment == 3))
        }
        _ = submit(request("/a", size: 5000), request("/b", size: 100))
        #expect(next()?.refusal?.code == .dataTooLarge)
        let small = next()
        #expect(small != nil && small?.refusal == nil)
    }

    @Test mutating func `the requests of an ended session are taken out, the others stay`() {
        _ = submit(request("/a", epoch: 1), request("/b"), request("/c", epoch: 1))
        #expect(paths(queue.takeAll(ofEpoch: 1)) == ["/a", "/c"])
        #expect(paths(send().map(\.pending)) == ["/b"])
    }

    // MARK: Deadlines and pruning

    @Test mutating func `requests run out of time in the order of their deadlines`() {
        _ = submit(request("/late"), deadline: 9)
        _ = submit(request("/early"), request("/also"), deadline: 5)
        _ = submit(request("/never"))
        #expect(queue.deadlines.first?.instant == start + .seconds(5))
        #expect(queue.takeOverdue(now: start + .seconds(4)).isEmpty)
        #expect(paths(queue.takeOverdue(now: start + .seconds(5))) == ["/early", "/also"])
        #expect(paths(queue.takeOverdue(now: start + .seconds(60))) == ["/late"])
        #expect(queue.deadlines.isEmpty)
    }

    @Test
    mutating func `what has run out of time before it was sent is never sent, and what was sent is not withdrawn`() {
        let (late, next) = (request("/late"), request("/next"))
        _ = submit(late, next)
        #expect(late.pending.withdraw() && !late.pending.isSent)
        #expect(paths(send().map(\.pending)) == ["/next"])
        #expect(!next.pending.withdraw() && next.pending.isSent)
    }

    @Test mutating func `what is finished has no deadline`() {
        let finished = request("/a")
        _ = submit(finished, deadline: 5)
        _ = submit(request("/b"), deadline: 7)
        finished.pending.finish(.success(.none))
        #expect(queue.takeOverdue(now: start).isEmpty)
        #expect(queue.deadlines.first?.instant == start + .seconds(7))
    }

    @Test mutating func `what was given up while it waited does not pile up`() {
        for number in 0..<10_000 {
            let one = request("/\(number)")
            _ = submit(one, deadline: Int64(number))
            if number % 100 != 0 { one.pending.finish(.success(.none)) }
        }
        #expect(queue.waiting.count <= 1200)
        #expect(queue.deadlines.count <= 1200)
        #expect(queue.waiting.count { !$0.pending.isFinished } == 100)
    }

    // MARK: Closing

    @Test mutating func `a queue that drains sends what waits, and accepts only what gives something up`() {
        _ = submit(request("/a"), request("/b", whileClosing: true))
        #expect(queue.close(drains: true).isEmpty)
        #expect(submit(request("/c"), request("/d", whileClosing: true)) == ["/c"])
        let sent = send()
        #expect(paths(sent.map(\.pending)) == ["/a", "/b", "/d"])
        for one in sent { settle(one, 0) }
        #expect(queue.isDrained)
    }

    @Test mutating func `a queue that does not drain gives back what is not sent while closing`() {
        _ = submit(request("/a"), request("/b", whileClosing: true))
        #expect(paths(queue.close(drains: false)) == ["/a"])
        #expect(paths(send().map(\.pending)) == ["/b"])
    }

    @Test mutating func `a queue that has ended accepts nothing, for the first reason`() {
        _ = submit(request("/a"), request("/b", whileClosing: true), deadline: 5)
        #expect(paths(queue.end(ZooKeeperError(.authenticationFailed))) == ["/a", "/b"])
        _ = queue.close(drains: false)
        _ = queue.end(ZooKeeperError(.clientStopped))
        let (refused, why) = queue.submit([request("/c", whileClosing: true)], deadline: nil)
        #expect(refused.count == 1)
        #expect(why.code == .authenticationFailed)
        #expect(queue.deadlines.isEmpty && queue.isDrained)
    }
}
