import CommandLineSupport

/// What the processes of a demo have left: the logs, and what was done to them.
struct DemoEvidence: Sendable {
    /// One processor process.
    struct Processor: Sendable {
        var name: String
        var events: [EventRecord]
        /// From right before each SIGSTOP to right before its SIGCONT.
        var freezes: [ClosedRange<Int64>] = []
        /// When it was killed.
        var killed: Int64?
    }

    /// One window.
    struct Window: Sendable {
        var number: Int
        var fault: DemoFault?
        var asked: Int64?
        /// Its task began; `nil` when it never did.
        var opened: Int64?
        var token: Int64?
        var drained: Int64?
        /// Its task had surely ended: it said so, or its process had been seen dead.
        var closed: Int64
        var failure: String?
    }

    var processors: [Processor]
    var windows: [Window]
}

/// What the logs prove.
struct DemoFindings: Sendable, Equatable {
    /// What is told about one window.
    struct Window: Sendable, Equatable {
        var number: Int
        /// From asking to the last processor's acknowledgement.
        var paused: Duration?
        /// How long the task ran alone.
        var ran: Duration?
        /// From the end of the task to the first event of each processor, sorted.
        var resumed: [Duration]
    }

    /// Events that were processed and that the store took.
    var processed = 0
    /// Events that were inside the gate while a task ran: 0, if the promise held.
    var insideWindows = 0
    /// Events let in, after a window had opened, with a token from before it: 0, if the promise held.
    var withOldToken = 0
    /// Events whose process was frozen in the middle of them until a window had opened: the store refuses their token.
    var refusedByToken = 0
    var windows: [Window] = []

    var promiseHeld: Bool { insideWindows == 0 && withOldToken == 0 }
}

extension DemoFindings {
    /// Reads the evidence.
    init(_ evidence: DemoEvidence) {
        let windows = evidence.windows.compactMap { OpenWindow($0) }
        for processor in evidence.processors {
            for event in processor.events { judge(event, of: processor, windows) }
        }
        self.windows = evidence.windows.map { window in
            Window(
                number: window.number, paused: window.drained.map { .nanoseconds($0) },
                ran: window.opened.map { .nanoseconds(window.closed - $0) },
                resumed: Self.resumes(after: window, evidence))
        }
    }

    /// A window whose task ran.
    private struct OpenWindow {
        var body: Range<Int64>
        var token: Int64

        init?(_ window: DemoEvidence.Window) {
            guard let opened = window.opened, let token = window.token, window.closed > opened else { return nil }
            (body, self.token) = (opened..<window.closed, token)
        }
    }

    private mutating func judge(
        _ event: EventRecord, of processor: DemoEvidence.Processor, _ windows: [OpenWindow]
    ) {
        // No client code can end an event whose process does not run: that is what tokens are for.
        let wasFrozen = processor.freezes.contains { event.begin <= $0.upperBound && event.end >= $0.upperBound }
        let isRefused = windows.contains { $0.body.lowerBound <= event.end && event.token < $0.token }
        let isInside = windows.contains { event.begin < $0.body.upperBound && event.end >= $0.body.lowerBound }
        let isAdmittedLate = windows.contains { $0.body.lowerBound <= event.begin && event.token < $0.token }
        if wasFrozen, isRefused {
            refusedByToken += 1
            return
        }
        if isInside { insideWindows += 1 }
        if isAdmittedLate { withOldToken += 1 }
        if isRefused { refusedByToken += 1 } else { processed += 1 }
    }

    /// How long after a window each processor that was there had its first event.
    private static func resumes(after window: DemoEvidence.Window, _ evidence: DemoEvidence) -> [Duration] {
        guard window.opened != nil else { return [] }
        let next = evidence.windows.compactMap(\.asked).filter { $0 > window.closed }.min() ?? .max
        return evidence.processors.compactMap { processor in
            let first = processor.events.first { $0.begin >= window.closed }
            guard let first, first.begin < next else { return nil }
            return .nanoseconds(first.begin - window.closed)
        }.sorted()
    }
}
