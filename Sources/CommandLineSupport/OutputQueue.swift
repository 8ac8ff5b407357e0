import Glibc
import Synchronization
import SystemSupport
import ZooKeeper

/// The queue of the texts for standard output and standard error, which a thread of its own writes.
///
/// If the reader of one of them has stopped reading, only that thread waits: no task does, and the other descriptor is
/// still written. Texts for different descriptors are written in the order in which they were queued, unless one of the
/// descriptors cannot be written at the moment.
final class OutputQueue: Sendable {
    enum Stream: Int, CaseIterable, Sendable {
        /// Standard output.
        case results
        /// Standard error.
        case messages
    }

    private struct Item {
        var number: Int
        var bytes: [UInt8]
        var stream: Stream
    }

    private struct State {
        /// The texts that the thread has not taken yet.
        var new: [Item] = []
        /// The number of texts so far.
        var count = 0
        /// The numbers of queued bytes.
        var queued = [0, 0]
        /// The numbers of texts that were dropped because the queue was full.
        var dropped = [0, 0]
        /// The number of dropped messages that no later message has reported.
        var unreported = 0
        var isRunning = false
        /// Whether the thread has been woken, and has not taken the new texts since.
        var isWoken = false
        /// Whether the reader of the results has exited.
        var isWithoutReader = false
        /// Whether a signal has requested the end of the program.
        var isEnding = false
        /// Whether the end of the program waits for the output.
        var isFinishing = false
        /// Set when there is room for results again.
        var room: [OneShot<Void>] = []
        /// Set when all results have been written.
        var written: [OneShot<Void>] = []
        /// Set when everything has been written.
        var finished: [OneShot<Void>] = []

        var isIdle: Bool { queued == [0, 0] }

        mutating func takeWaiting() -> [OneShot<Void>] {
            defer { (room, written) = ([], []) }
            return room + written
        }
    }

    /// The number of queued bytes of one descriptor from which on further texts are dropped.
    private let limit: Int
    /// The time that the end of the program waits for the output after a signal.
    private let patience: Duration
    private let descriptors: [Int32]
    /// Called on the writing thread with the error number of a failed write.
    private let failed: @Sendable (Stream, Int32) -> Void
    /// The pipe that wakes the thread; -1 if it could not be created.
    private let alarm: (read: Int32, write: Int32)
    private let state = Mutex(State())

    init(
        results: Int32, messages: Int32, limit: Int = 1 << 20, patience: Duration = .seconds(1),
        failed: @escaping @Sendable (Stream, Int32) -> Void
    ) {
        (descriptors, self.limit, self.patience, self.failed) = ([results, messages], limit, patience, failed)
        var pair: [Int32] = [-1, -1]
        if pipe(&pair) != 0 { pair = [-1, -1] }
        for descriptor in pair where descriptor >= 0 {
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        }
        alarm = (pair[0], pair[1])
    }

    // MARK: Queueing

    /// Queues a text, and never waits.
    ///
    /// - Returns: Whether the text was queued. A text is dropped if the queue is full.
    @discardableResult
    func append(_ text: String, to stream: Stream) -> Bool {
        let bytes = Array(text.utf8)
        let (isQueued, mustStart, mustWake) = state.withLock { state -> (Bool, Bool, Bool) in
            if bytes.isEmpty || stream == .results && state.isWithoutReader { return (true, false, false) }
            guard state.queued[stream.rawValue] < limit else {
                state.dropped[stream.rawValue] += 1
                if stream == .messages { state.unreported += 1 }
                return (false, false, false)
            }
            var bytes = bytes
            if stream == .messages, state.unreported > 0 {
                let messages = noun("message was", plural: "messages were", for: state.unreported)
                let report =
                    "\(Output.programName): \(state.unreported) \(messages) dropped, because the reader of standard "
                    + "error had stopped reading\n"
                bytes = Array(report.utf8) + bytes
                state.unreported = 0
            }
            state.new.append(Item(number: state.count, bytes: bytes, stream: stream))
            state.count += 1
            state.queued[stream.rawValue] += bytes.count
            defer { (state.isRunning, state.isWoken) = (true, true) }
            return (true, !state.isRunning, !state.isWoken)
        }
        if mustStart { detachThread { self.run() } }
        if mustWake { wake() }
        return isQueued
    }

    /// Whether a text was dropped.
    var hasDropped: Bool { state.withLock { $0.dropped != [0, 0] } }

    /// Whether a signal has requested the end of the program.
    var isEnding: Bool { state.withLock { $0.isEnding } }

    /// Whether the reader of the results has exited.
    var isWithoutReader: Bool { state.withLock { $0.isWithoutReader } }

    // MARK: Waiting

    /// Waits until results can be queued without being dropped, until the task is cancelled, or until the program ends.
    func waitForRoom() async {
        await wait { state, waiter in
            guard state.queued[Stream.results.rawValue] >= limit, !state.isEnding else { return false }
            state.room.append(waiter)
            return true
        }
    }

    /// Waits until all results have been written, until the task is cancelled, or until the program ends.
    func waitUntilWritten() async {
        await wait { state, waiter in
            guard state.queued[Stream.results.rawValue] > 0, !state.isEnding else { return false }
            state.written.append(waiter)
            return true
        }
    }

    private func wait(_ register: (inout State, OneShot<Void>) -> Bool) async {
        let waiter = OneShot<Void>()
        guard state.withLock({ register(&$0, waiter) }) else { return }
        try? await waiter.wait()
    }

    /// Ends all waiting for room, because the program ends.
    func end() {
        let (waiting, startsTimer) = state.withLock { state -> ([OneShot<Void>], Bool) in
            let isFirst = !state.isEnding
            state.isEnding = true
            return (state.takeWaiting(), isFirst && state.isFinishing)
        }
        for waiter in waiting { waiter.set(()) }
        if startsTimer { startTimer() }
    }

    /// Waits until everything has been written; after ``end()``, only for a time.
    ///
    /// - Returns: Whether everything has been written.
    func finish() async -> Bool {
        let done = OneShot<Void>()
        let startsTimer = state.withLock { state in
            if state.isIdle { done.set(()) } else { state.finished.append(done) }
            defer { state.isFinishing = true }
            return !state.isIdle && state.isEnding && !state.isFinishing
        }
        if startsTimer { startTimer() }
        try? await done.wait()
        return state.withLock { $0.isIdle }
    }

    private func startTimer() {
        let patience = patience
        detachThread {
            usleep(UInt32(patience / .microseconds(1)))
            let waiting = self.state.withLock { state in
                defer { state.finished = [] }
                return state.finished
            }
            for waiter in waiting { waiter.set(()) }
        }
    }

    // MARK: Writing

    /// The texts for one descriptor, on the writing thread.
    private struct Backlog {
        private var items: [Item] = []
        private var index = 0
        private var offset = 0

        /// The number of the next text.
        var next: Int? { index < items.count ? items[index].number : nil }

        mutating func append(_ item: Item) { items.append(item) }

        /// Writes a part of the next text.
        ///
        /// - Returns: The number of bytes that are done, and the error number of the write.
        mutating func write(to descriptor: Int32) -> (done: Int, code: Int32) {
            let rest = items[index].bytes[offset...]
            // A pipe that can be written takes this many bytes without blocking.
            let size = isRegularFile(descriptor) ? rest.count : min(rest.count, Int(PIPE_BUF))
            let (count, code) = rest.withUnsafeBytes { bytes in
                let count = Glibc.write(descriptor, bytes.baseAddress, size)
                return (count, count < 0 ? errno : 0)
            }
            switch code {
            case 0:
                offset += count
                if count == rest.count { removeFirst() }
                return (count, 0)
            case EINTR: return (0, 0)
            case EAGAIN:
                usleep(10_000)
                return (0, 0)
            default:
                removeFirst()
                return (rest.count, code)
            }
        }

        private mutating func removeFirst() {
            items[index].bytes = []
            (index, offset) = (index + 1, 0)
            guard index == items.count || index > 1000 else { return }
            items.removeFirst(index)
            index = 0
        }

        /// Drops all texts, and returns the number of their bytes.
        mutating func removeAll() -> Int {
            defer { self = Backlog() }
            return items.reduce(0) { $0 + $1.bytes.count } - offset
        }
    }

    private func run() {
        var backlogs = [Backlog(), Backlog()]
        while true {
            var polled = [pollfd(fd: alarm.read, events: Int16(POLLIN), revents: 0)]
            polled += Stream.allCases.map { stream in
                let isWaiting = backlogs[stream.rawValue].next != nil
                return pollfd(fd: isWaiting ? descriptors[stream.rawValue] : -1, events: Int16(POLLOUT), revents: 0)
            }
            poll(&polled, nfds_t(polled.count), alarm.read < 0 ? 100 : -1)
            if polled[0].revents != 0 { clearAlarm() }
            let ready = Stream.allCases.filter { polled[$0.rawValue + 1].revents != 0 }
            for item in takeNew() { backlogs[item.stream.rawValue].append(item) }
            let oldest = ready.min { first, second in
                (backlogs[first.rawValue].next ?? .max) < (backlogs[second.rawValue].next ?? .max)
            }
            guard let stream = oldest else { continue }
            let (written, code) = backlogs[stream.rawValue].write(to: descriptors[stream.rawValue])
            var done = written
            if code != 0 {
                if code == EPIPE, stream == .results {
                    for item in leaveReader() { backlogs[item.stream.rawValue].append(item) }
                    done += backlogs[stream.rawValue].removeAll()
                }
                failed(stream, code)
            }
            if done > 0 { settle(done, of: stream) }
        }
    }

    private func takeNew() -> [Item] {
        state.withLock { state in
            defer { (state.new, state.isWoken) = ([], false) }
            return state.new
        }
    }

    /// Accepts no more results, and takes the new texts, after which no result is left in the queue.
    private func leaveReader() -> [Item] {
        state.withLock { state in
            defer { (state.new, state.isWithoutReader) = ([], true) }
            return state.new
        }
    }

    /// Records that bytes were written or given up, and resumes those who wait for that.
    private func settle(_ count: Int, of stream: Stream) {
        let resumed = state.withLock { state -> [OneShot<Void>] in
            state.queued[stream.rawValue] -= count
            var resumed: [OneShot<Void>] = []
            let results = state.queued[Stream.results.rawValue]
            if results <= limit / 2 { swap(&resumed, &state.room) }
            if results == 0 {
                resumed += state.written
                state.written = []
            }
            if state.isIdle {
                resumed += state.finished
                state.finished = []
            }
            return resumed
        }
        for waiter in resumed { waiter.set(()) }
    }

    private func wake() {
        var byte: UInt8 = 0
        while Glibc.write(alarm.write, &byte, 1) < 0, errno == EINTR {}
    }

    private func clearAlarm() {
        var bytes = [UInt8](repeating: 0, count: 64)
        while read(alarm.read, &bytes, bytes.count) > 0 {}
    }
}

private func isRegularFile(_ descriptor: Int32) -> Bool {
    var info = stat()
    return fstat(descriptor, &info) == 0 && info.st_mode & S_IFMT == S_IFREG
}
