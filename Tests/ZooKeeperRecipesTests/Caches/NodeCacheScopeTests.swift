import Testing
import ZooKeeper

@testable import ZooKeeperRecipes

/// What a cache of one znode asks the server next.
private struct Read: Equatable {
    var kind: SubtreeStateMachine.Read.Question
    var setsWatch: Bool
    /// Whether a barrier was answered since the read before.
    var catchesUp: Bool
}

/// The machine with the scope of one znode, as an object, so that expectations can drive it.
///
/// Barriers are answered at once. Answers are to the last read, and events of the last watch.
private final class Machine {
    typealias Connection = SubtreeStateMachine.Connection

    private var machine: SubtreeStateMachine
    private var read: SubtreeStateMachine.Read?
    private var watch: SubtreeStateMachine.Watch?
    private var hasCaughtUp = false

    init(now: MonotonicInstant) { machine = SubtreeStateMachine(.node("/a"), now: now, seed: 1) }

    var content: NodeCache.Content { NodeCache.Entry(CacheEntry(content: machine.content, freshness: .live)).content }
    var pausedUntil: MonotonicInstant? { machine.wakeUpAt }

    func staleSince(on connection: Connection?, now: MonotonicInstant) -> MonotonicInstant? {
        machine.staleSince(on: connection, now: now)
    }

    func takePublication() -> Bool { machine.takePublication() != nil }

    func connectionChanged(to connection: Connection?, now: MonotonicInstant) -> Read? {
        next(machine.connectionChanged(to: connection, now: now), connection, now)
    }

    func fired(_ notice: SubtreeStateMachine.Notice, on connection: Connection?, now: MonotonicInstant) -> Read? {
        guard let watch else { return nil }
        return next(machine.fired(watch, notice, on: connection, now: now), connection, now)
    }

    func answered(_ answer: SubtreeStateMachine.Answer, on connection: Connection?, now: MonotonicInstant) -> Read? {
        guard let read else { return nil }
        if read.setsWatch, answer.setsWatch(of: read) {
            watch = SubtreeStateMachine.Watch(number: read.number, key: read.key, part: read.part)
        }
        return next(machine.answered(answer, to: read, on: connection, now: now), connection, now)
    }

    func retry(on connection: Connection?, now: MonotonicInstant) -> Read? {
        next(machine.wake(on: connection, now: now), connection, now)
    }

    func finish(now: MonotonicInstant) { machine.finish(now: now) }

    private func next(
        _ actions: SubtreeStateMachine.Actions, _ connection: Connection?, _ now: MonotonicInstant
    ) -> Read? {
        if actions.catchesUp, let connection {
            hasCaughtUp = true
            return next(
                machine.caughtUp(true, onConnection: connection.number, connection: connection, now: now),
                connection, now)
        }
        #expect(actions.reads.count <= 1, "one read at a time")
        guard let read = actions.reads.first else { return nil }
        self.read = read
        defer { hasCaughtUp = false }
        return Read(kind: read.question, setsWatch: read.setsWatch, catchesUp: hasCaughtUp)
    }
}

@Suite
struct NodeCacheScopeTests {
    private typealias Connection = SubtreeStateMachine.Connection

    private let first = Connection(epoch: 1, number: 1)
    private let second = Connection(epoch: 1, number: 2)
    private let nextSession = Connection(epoch: 2, number: 2)
    private let dataAndWatch = Read(kind: .data, setsWatch: true, catchesUp: false)
    private let existenceAndWatch = Read(kind: .existence, setsWatch: true, catchesUp: false)

    private func at(_ seconds: Int) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: Int64(seconds) * 1_000_000_000)
    }

    private func stat(mzxid: Int64, czxid: Int64 = 1) -> ZNodeStat {
        ZNodeStat(czxid: ZXID(rawValue: czxid), mzxid: ZXID(rawValue: mzxid), pzxid: ZXID(rawValue: czxid))
    }

    private func live(mzxid: Int64 = 10) -> Machine {
        let machine = Machine(now: at(0))
        _ = machine.connectionChanged(to: first, now: at(0))
        _ = machine.answered(.data([1], stat(mzxid: mzxid)), on: first, now: at(0))
        _ = machine.takePublication()
        return machine
    }

    @Test func `nothing is known and nothing is asked without a connection`() {
        let machine = Machine(now: at(1))
        #expect(machine.connectionChanged(to: nil, now: at(2)) == nil)
        #expect(machine.content == .unknown)
        #expect(machine.staleSince(on: nil, now: at(9)) == at(1))
        #expect(!machine.takePublication())
    }

    @Test func `a znode that stands is live after one request`() {
        let machine = Machine(now: at(0))
        #expect(machine.connectionChanged(to: first, now: at(0)) == dataAndWatch)
        #expect(machine.answered(.data([1], stat(mzxid: 10)), on: first, now: at(1)) == nil)
        #expect(machine.content == .present(data: [1], stat: stat(mzxid: 10)))
        #expect(machine.staleSince(on: first, now: at(2)) == nil)
        #expect(machine.takePublication())
        #expect(!machine.takePublication())
    }

    @Test func `a missing znode is watched for its creation, and read when it comes`() {
        let machine = Machine(now: at(0))
        #expect(machine.connectionChanged(to: first, now: at(0)) == dataAndWatch)
        #expect(machine.answered(.missing, on: first, now: at(1)) == existenceAndWatch)
        #expect(machine.content == .unknown)
        #expect(machine.answered(.missing, on: first, now: at(1)) == nil)
        #expect(machine.content == .absent)
        #expect(machine.fired(.changed, on: first, now: at(2)) == dataAndWatch)
    }

    @Test func `a znode that has gone again when it is read leaves the cache as it was`() {
        let machine = Machine(now: at(0))
        _ = machine.connectionChanged(to: first, now: at(0))
        #expect(machine.answered(.missing, on: first, now: at(1)) == existenceAndWatch)
        #expect(machine.content == .unknown)
        #expect(!machine.takePublication())
        #expect(machine.answered(.missing, on: first, now: at(1)) == nil)
        #expect(machine.takePublication())
        #expect(machine.fired(.changed, on: first, now: at(2)) == dataAndWatch)
        #expect(machine.answered(.missing, on: first, now: at(2)) == existenceAndWatch)
        #expect(machine.content == .absent)
        #expect(!machine.takePublication())
        #expect(machine.answered(.missing, on: first, now: at(2)) == nil)
        #expect(machine.content == .absent)
        #expect(!machine.takePublication())
    }

    @Test func `a znode that may not be read and has gone is unreadable until it is known to be absent`() {
        let machine = Machine(now: at(0))
        _ = machine.connectionChanged(to: first, now: at(0))
        _ = machine.answered(.failed(ZooKeeperError(.noAuth)), on: first, now: at(1))
        #expect(machine.content == .unreadable(ZooKeeperError(.noAuth)))
        #expect(machine.retry(on: first, now: at(9)) == dataAndWatch)
        #expect(machine.answered(.missing, on: first, now: at(9)) == existenceAndWatch)
        #expect(machine.content == .unreadable(ZooKeeperError(.noAuth)))
        #expect(machine.answered(.missing, on: first, now: at(9)) == nil)
        #expect(machine.content == .absent)
    }

    @Test func `a znode that comes between two reads is read without another watch`() {
        let machine = Machine(now: at(0))
        _ = machine.connectionChanged(to: first, now: at(0))
        _ = machine.answered(.missing, on: first, now: at(1))
        let read = machine.answered(.exists, on: first, now: at(1))
        #expect(read == Read(kind: .data, setsWatch: false, catchesUp: false))
        #expect(machine.answered(.data([1], stat(mzxid: 3)), on: first, now: at(1)) == nil)
        #expect(machine.staleSince(on: first, now: at(1)) == nil)
    }

    @Test func `a deleted znode's existence is asked for first`() {
        let machine = live()
        #expect(machine.fired(.deleted, on: first, now: at(5)) == existenceAndWatch)
        #expect(machine.staleSince(on: first, now: at(6)) == at(5))
        #expect(machine.answered(.missing, on: first, now: at(6)) == nil)
        #expect(machine.content == .absent)
        #expect(machine.takePublication())
    }

    @Test func `a content that is being read again is stale, and nobody is told`() {
        let machine = live()
        #expect(machine.fired(.changed, on: first, now: at(5)) == dataAndWatch)
        #expect(machine.staleSince(on: first, now: at(6)) == at(5))
        #expect(!machine.takePublication())
    }

    @Test func `with the connection lost the content is stale; on the next one it is read with the watch it has`() {
        let machine = live()
        #expect(machine.staleSince(on: second, now: at(3)) == at(3))
        #expect(machine.connectionChanged(to: nil, now: at(4)) == nil)
        #expect(machine.staleSince(on: nil, now: at(9)) == at(4))
        #expect(machine.takePublication())
        let read = machine.connectionChanged(to: second, now: at(9))
        #expect(read == Read(kind: .data, setsWatch: false, catchesUp: false))
        #expect(machine.answered(.data([1], stat(mzxid: 10)), on: second, now: at(9)) == nil)
        #expect(machine.staleSince(on: second, now: at(9)) == nil)
        #expect(machine.takePublication())
    }

    @Test func `a reconnect that is noticed late still has the znode read again`() {
        let machine = live()
        #expect(machine.connectionChanged(to: second, now: at(4)) != nil)
        #expect(machine.staleSince(on: second, now: at(5)) == at(4))
    }

    @Test func `a watch that fires while the znode is read after a reconnect is set again`() {
        let machine = live()
        _ = machine.connectionChanged(to: nil, now: at(4))
        _ = machine.connectionChanged(to: second, now: at(5))
        #expect(machine.fired(.changed, on: second, now: at(5)) == nil)
        let read = machine.answered(.data([2], stat(mzxid: 11)), on: second, now: at(5))
        #expect(read == dataAndWatch)
        #expect(machine.staleSince(on: second, now: at(5)) != nil)
    }

    @Test func `H55: an answer that is older than what is known changes nothing`() {
        let machine = live(mzxid: 10)
        _ = machine.fired(.interrupted, on: second, now: at(5))
        #expect(machine.answered(.data([0], stat(mzxid: 9)), on: second, now: at(6)) == nil)
        #expect(machine.content == .present(data: [1], stat: stat(mzxid: 10)))
        #expect(machine.staleSince(on: second, now: at(6)) == at(5))
        #expect(machine.pausedUntil != nil)
        let read = machine.retry(on: second, now: at(9))
        #expect(read == Read(kind: .data, setsWatch: false, catchesUp: true))
    }

    @Test func `a znode that was seen missing is not shown again by a server that lags`() {
        let machine = live(mzxid: 10)
        _ = machine.fired(.deleted, on: first, now: at(5))
        _ = machine.answered(.missing, on: first, now: at(5))
        _ = machine.fired(.interrupted, on: second, now: at(6))
        _ = machine.answered(.exists, on: second, now: at(6))
        #expect(machine.answered(.data([1], stat(mzxid: 10)), on: second, now: at(6)) == nil)
        #expect(machine.content == .absent)
        #expect(machine.pausedUntil != nil)
        _ = machine.retry(on: second, now: at(9))
        _ = machine.answered(.data([2], stat(mzxid: 12)), on: second, now: at(9))
        #expect(machine.content == .present(data: [2], stat: stat(mzxid: 12)))
    }

    @Test func `H52: created again with the same data and version is another content`() {
        let machine = live(mzxid: 10)
        _ = machine.fired(.changed, on: first, now: at(5))
        #expect(machine.answered(.data([1], stat(mzxid: 12, czxid: 12)), on: first, now: at(5)) == nil)
        #expect(machine.takePublication())
    }

    @Test func `an answer that was asked for on another connection is asked for again`() {
        let machine = Machine(now: at(0))
        _ = machine.connectionChanged(to: first, now: at(0))
        #expect(machine.connectionChanged(to: second, now: at(1)) == nil)
        let read = machine.answered(.data([1], stat(mzxid: 10)), on: second, now: at(1))
        #expect(read == Read(kind: .data, setsWatch: true, catchesUp: true))
        #expect(machine.content == .unknown)
    }

    @Test func `a new session sets a new watch, after catching up`() {
        let machine = live()
        _ = machine.fired(.sessionEnded, on: nil, now: at(4))
        let read = machine.connectionChanged(to: nextSession, now: at(5))
        #expect(read == Read(kind: .data, setsWatch: true, catchesUp: true))
        #expect(machine.answered(.data([1], stat(mzxid: 10)), on: nextSession, now: at(5)) == nil)
        #expect(machine.fired(.changed, on: nextSession, now: at(6)) == dataAndWatch)
    }

    @Test func `a watch that was interrupted is set again, after catching up`() {
        let machine = live()
        let read = machine.fired(.interrupted, on: second, now: at(5))
        #expect(read == Read(kind: .data, setsWatch: true, catchesUp: true))
    }

    @Test func `a read that was lost with its connection waits for the next one`() {
        let machine = live()
        _ = machine.fired(.changed, on: first, now: at(5))
        #expect(machine.answered(.failed(ZooKeeperError(.connectionLoss)), on: nil, now: at(6)) == nil)
        #expect(machine.takePublication())
        #expect(machine.pausedUntil == nil)
        #expect(machine.connectionChanged(to: second, now: at(7)) != nil)
    }

    @Test func `a read that was lost and whose news comes after the next connection is asked at once`() {
        let machine = live()
        _ = machine.fired(.changed, on: first, now: at(5))
        #expect(machine.connectionChanged(to: second, now: at(6)) == nil)
        let read = machine.answered(.failed(ZooKeeperError(.connectionLoss)), on: second, now: at(7))
        #expect(read == Read(kind: .data, setsWatch: true, catchesUp: true))
    }

    @Test func `an answer that comes after its connection was lost makes nothing live`() {
        let machine = live()
        _ = machine.fired(.changed, on: first, now: at(5))
        _ = machine.connectionChanged(to: nil, now: at(6))
        #expect(machine.answered(.data([2], stat(mzxid: 11)), on: nil, now: at(7)) == nil)
        #expect(machine.content == .present(data: [1], stat: stat(mzxid: 10)))
        #expect(machine.staleSince(on: nil, now: at(8)) == at(5))
    }

    @Test func `H54: without the right to read it is unreadable and asked again with growing pauses`() {
        let machine = Machine(now: at(0))
        _ = machine.connectionChanged(to: first, now: at(0))
        var now = at(0)
        for round in 0..<20 {
            #expect(machine.answered(.failed(ZooKeeperError(.noAuth)), on: first, now: now) == nil)
            #expect(machine.takePublication() == (round == 0), "the same refusal is told once")
            guard case .unreadable(let error) = machine.content, let until = machine.pausedUntil else {
                Issue.record("neither unreadable nor pausing")
                return
            }
            #expect(error.code == .noAuth)
            #expect(until - now <= .seconds(5))
            #expect(machine.retry(on: first, now: until - .nanoseconds(1)) == nil)
            now = until
            #expect(machine.retry(on: first, now: now) == dataAndWatch)
        }
        #expect(machine.answered(.data([1], stat(mzxid: 3)), on: first, now: now) == nil)
        #expect(machine.staleSince(on: first, now: now) == nil)
    }

    @Test func `an overloaded server leaves the content as it is, stale`() {
        let machine = live()
        _ = machine.fired(.changed, on: first, now: at(5))
        #expect(machine.answered(.failed(ZooKeeperError(.throttled)), on: first, now: at(6)) == nil)
        #expect(machine.content == .present(data: [1], stat: stat(mzxid: 10)))
        #expect(machine.pausedUntil != nil)
        #expect(machine.takePublication())
    }

    @Test func `after the end nothing is asked any more`() {
        let machine = live()
        machine.finish(now: at(5))
        #expect(machine.staleSince(on: first, now: at(6)) == at(5))
        #expect(machine.fired(.changed, on: first, now: at(6)) == nil)
        #expect(machine.connectionChanged(to: second, now: at(6)) == nil)
        #expect(machine.answered(.data([2], stat(mzxid: 20)), on: first, now: at(6)) == nil)
        #expect(machine.content == .present(data: [1], stat: stat(mzxid: 10)))
    }

    // MARK: No room for a watch

    @Test func `a znode whose watch finds no room is read without one, again and again with growing pauses`() {
        let machine = Machine(now: at(0))
        var refusal = ZooKeeperError(.invalidArgument)
        refusal.isWatchRefusal = true
        let unwatched = Read(kind: .data, setsWatch: false, catchesUp: false)
        #expect(machine.connectionChanged(to: first, now: at(0)) == dataAndWatch)
        var pauses: [Duration] = []
        var now = at(1)
        for round in 1...12 {
            #expect(machine.answered(.failed(refusal), on: first, now: now) == unwatched)
            #expect(machine.answered(.data([UInt8(round)], stat(mzxid: Int64(round))), on: first, now: now) == nil)
            #expect(machine.content == .present(data: [UInt8(round)], stat: stat(mzxid: Int64(round))))
            #expect(machine.staleSince(on: first, now: now) == now, "what is not watched is as old as its last read")
            #expect(machine.takePublication())
            let until = machine.pausedUntil ?? now
            pauses.append(until - now)
            now = until
            #expect(machine.retry(on: first, now: now) == dataAndWatch, "there may be room by now")
        }
        #expect(pauses.first! <= .milliseconds(50) && pauses.last! >= .seconds(2.5))
        #expect(pauses.allSatisfy { $0 <= .seconds(5) })
        #expect(machine.answered(.data([9], stat(mzxid: 99)), on: first, now: now) == nil)
        #expect(machine.staleSince(on: first, now: now) == nil)
    }

    @Test func `that a znode does not stand is also known without a watch`() {
        let machine = Machine(now: at(0))
        var refusal = ZooKeeperError(.invalidArgument)
        refusal.isWatchRefusal = true
        _ = machine.connectionChanged(to: first, now: at(0))
        _ = machine.answered(.failed(refusal), on: first, now: at(1))
        let read = machine.answered(.missing, on: first, now: at(1))
        #expect(read == Read(kind: .existence, setsWatch: false, catchesUp: false))
        #expect(machine.answered(.missing, on: first, now: at(1)) == nil)
        #expect(machine.content == .absent && machine.pausedUntil != nil)
    }
}
