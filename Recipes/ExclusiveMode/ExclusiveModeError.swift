public import ZooKeeper

/// What kept a window or an event from running.
public struct ExclusiveModeError: Error, Sendable, CustomStringConvertible {
    /// The kind of an error.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        enum Kind: Hashable {
            case busy, notPaused, lost, gateStopped, nested, queueNumbersExhausted, invalidArgument
        }

        let kind: Kind

        /// Another window is wanted or open, and waiting was not asked for.
        public static let busy = Code(kind: .busy)
        /// Not every processor paused in time; all of them resume.
        public static let notPaused = Code(kind: .notPaused)
        /// The window, or the event's permission, was lost while the operation ran; its task was cancelled and awaited.
        public static let lost = Code(kind: .lost)
        /// The gate's `run()` has ended, so that it will never open again.
        public static let gateStopped = Code(kind: .gateStopped)
        /// The call would wait for itself: its task is inside a permit or a window of the same exclusive mode.
        ///
        /// Tasks that were started inside count as inside until the permit or window has ended.
        public static let nested = Code(kind: .nested)
        /// The server's numbers for the children of `BASE/locks` are near their end.
        public static let queueNumbersExhausted = Code(kind: .queueNumbersExhausted)
        /// An argument that cannot be.
        public static let invalidArgument = Code(kind: .invalidArgument)

        /// The code's name.
        public var description: String { "\(kind)" }

        /// What went wrong, where an error has no message of its own.
        var words: String? {
            switch kind {
            case .busy: "another window is requested or open"
            case .notPaused: "these processors have not paused in time, and all resume"
            case .lost: "the window, or the event's permit, was lost while it was held"
            case .gateStopped: "the gate has stopped and will not open again"
            case .nested, .queueNumbersExhausted, .invalidArgument: nil
            }
        }
    }

    /// What kind of error it is.
    public var code: Code
    /// The base path of the exclusive mode.
    public var path: String
    /// Who has not paused, with `.notPaused`; who has the window, with `.busy`.
    public var who: [String]
    /// Why it was lost, with `.lost`.
    public var reason: LossReason?
    /// What was wrong and what would be right, where the code alone does not tell.
    public var message: String?

    init(_ code: Code, path: String, who: [String] = [], reason: LossReason? = nil, message: String? = nil) {
        self.code = code
        self.path = path
        self.who = who
        self.reason = reason
        self.message = message
    }

    /// The error in one line.
    public var description: String {
        let names = who.isEmpty ? "" : ": \(who.joined(separator: ", "))"
        return errorText(code, at: path, detail: reason, message: message ?? code.words.map { $0 + names })
    }
}
