import CommandLineSupport

/// The logs of the processes of a demo, and the faults that the demo caused.
struct DemoEvidence: Sendable {
    /// One processor process.
    struct Processor: Sendable {
        var name: String
        var events: [EventRecord]
        /// The times from immediately before each SIGSTOP until immediately before its SIGCONT.
        var freezes: [ClosedRange<Int64>] = []
        /// The time at which the process was killed.
        var killed: Int64?
    }

    /// One window.
    struct Window: Sendable {
        var number: Int
        var fault: DemoFault?
        var asked: Int64?
        /// The time at which the task began; `nil` if it never did.
        var opened: Int64?
        var token: Int64?
        var drained: Int64?
        /// A time at which the task had certainly ended: the operator logged its end, or its process was seen to be
        /// dead.
        var closed: Int64
        var failure: String?
    }

    var processors: [Processor]
    var windows: [Window]
}

/// The result of checking the logs.
struct DemoFindings: Sendable, Equatable {
    /// The result for one window.
    struct Window: Sendable, Equatable {
        var number: Int
        /// The time from the request until the last processor had paused.
        var paused: Duration?
        /// The time for which the task ran alone.
        var ran: Duration?
        /// The times from the end of the task until the first event of each processor, sorted.
        var resumed: [Duration]
    }

    /// The number of events that were processed and that a store would accept.
    var processed = 0
    /// The number of events that were inside the gate while a task ran; 0 if the guarantee held.
    var insideWindows = 0
    /// The number of events that were admitted after a window had opened, with an older token; 0 if the guarantee held.
    var withOldToken = 0
    /// The number of events during which the process was frozen until a window had opened; a store refuses their token.
    var refusedByToken = 0
    var windows: [Window] = []

    var promiseHeld: Bool { insideWindows == 0 && withOldToken == 0 }
}

extension DemoFindings {
    /// Checks the evidence.
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

    /// A window whose task ran, with the time of the task.
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
        // No client code can end an event of a process that does not run. Fencing tokens exist for this case.
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

    /// Returns the times from the end of a window until the first event of each processor that ran then.
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
