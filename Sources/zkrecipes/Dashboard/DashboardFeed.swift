import CommandLineSupport
import FlyingSocks
import Synchronization
import ZooKeeper

/// The newest event for the open pages.
///
/// Only the newest event is kept: a page that reads slowly misses the others.
final class DashboardFeed: Sendable {
    /// The number of pages that can be open at the same time.
    static let maximumPages = 32
    /// The time without an event after which a comment is sent.
    static let keepAlive = Duration.seconds(10)

    private struct State {
        var version = 0
        var event: [UInt8] = []
        var pages: [Int: WakeUp] = [:]
        var nextPage = 0
    }

    private let state = Mutex(State())
    /// Wakes the loop that starts and stops reading.
    private let pagesChanged = WakeUp()
    let clock: any MonotonicClock

    init(clock: any MonotonicClock = SystemMonotonicClock()) { self.clock = clock }

    /// The number of open pages.
    var pages: Int { state.withLock { $0.pages.count } }

    /// Opens a page; returns `nil` if too many are open.
    ///
    /// The page is closed when the last reference to it is released.
    func open() -> OpenPage? {
        let wakeUp = WakeUp()
        let id = state.withLock { state -> Int? in
            guard state.pages.count < Self.maximumPages else { return nil }
            state.nextPage += 1
            state.pages[state.nextPage] = wakeUp
            return state.nextPage
        }
        guard let id else { return nil }
        pagesChanged.signal()
        return OpenPage(id: id, feed: self, wakeUp: wakeUp)
    }

    fileprivate func close(_ id: Int) {
        _ = state.withLock { $0.pages.removeValue(forKey: id) }
        pagesChanged.signal()
    }

    /// Publishes a state, as one line of JSON, to all pages.
    func publish(_ json: String) {
        let event = Array("event: state\ndata: \(json)\n\n".utf8)
        let pages = state.withLock { state in
            state.version += 1
            state.event = event
            return Array(state.pages.values)
        }
        for page in pages { page.signal() }
    }

    /// Returns the newest event, unless the page knows it.
    fileprivate func newest(after version: Int) -> (version: Int, event: [UInt8])? {
        state.withLock { $0.version > version ? ($0.version, $0.event) : nil }
    }

    /// Waits until a page is open.
    ///
    /// - Throws: `CancellationError`.
    func waitForPage() async throws {
        while pages == 0 {
            try Task.checkCancellation()
            await pagesChanged.wait(until: nil, clock: clock)
        }
    }

    /// Waits until no page has been open for a time.
    ///
    /// - Throws: `CancellationError`.
    func waitUntilUnused(for time: Duration) async throws {
        var end: MonotonicInstant?
        while true {
            try Task.checkCancellation()
            if pages > 0 {
                end = nil
            } else if let end, clock.now >= end {
                return
            } else {
                end = end ?? clock.now + time
            }
            await pagesChanged.wait(until: end, clock: clock)
        }
    }
}

/// A page that receives the events of a feed, as long as it is referenced.
final class OpenPage: Sendable {
    private let id: Int
    fileprivate let feed: DashboardFeed
    private let wakeUp: WakeUp

    fileprivate init(id: Int, feed: DashboardFeed, wakeUp: WakeUp) {
        (self.id, self.feed, self.wakeUp) = (id, feed, wakeUp)
    }

    deinit { feed.close(id) }

    /// Waits for the next part of the stream: the newest event, or a comment if there is none in time.
    ///
    /// - Parameter version: The version of the last event that the page has received, which is updated.
    /// - Returns: `nil` if the task is cancelled.
    fileprivate func next(after version: inout Int) async -> [UInt8]? {
        let deadline = feed.clock.now + DashboardFeed.keepAlive
        while !Task.isCancelled {
            if let newest = feed.newest(after: version) {
                version = newest.version
                return newest.event
            }
            if feed.clock.now >= deadline { return Array(": no change\n\n".utf8) }
            await wakeUp.wait(until: deadline, clock: feed.clock)
        }
        return nil
    }
}

/// The stream of events of a page, as the body of an answer.
struct EventStream: AsyncBufferedSequence {
    typealias Element = UInt8

    let page: OpenPage

    func makeAsyncIterator() -> Iterator { Iterator(page: page) }

    struct Iterator: AsyncBufferedIteratorProtocol {
        let page: OpenPage
        private var hasStarted = false
        private var version = 0

        init(page: OpenPage) { self.page = page }

        @concurrent
        mutating func next() async throws -> UInt8? {
            preconditionFailure("the server reads whole buffers")
        }

        @concurrent
        mutating func nextBuffer(suggested count: Int) async throws -> [UInt8]? {
            guard hasStarted else {
                hasStarted = true
                return Array("retry: 1000\n\n".utf8)
            }
            return await page.next(after: &version)
        }
    }
}
