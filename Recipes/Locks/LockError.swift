public import ZooKeeper

/// Why a lock could not be had, or was not held to the end.
///
/// Errors of the ensemble itself, such as `.noAuth`, come as `ZooKeeperError`.
public struct LockError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kind of an error.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        enum Kind: Hashable {
            case timedOut, lost, notAvailable, alreadyHeld, upgradeNotAllowed, notReadWrite, queueNumbersExhausted
            case limitUnreadable, released
        }

        let kind: Kind

        /// The time to wait ran out; nothing is held and no place in the queue is kept.
        public static let timedOut = Code(kind: .timedOut)
        /// The lock was lost while the body ran; see ``LockError/reason``.
        ///
        /// The body was cancelled and has ended. What it did at the end may have happened beside another holder: a
        /// store that checks fencing tokens has refused that.
        public static let lost = Code(kind: .lost)
        /// The lease was released in order, so that nothing can be done by it any more.
        public static let released = Code(kind: .released)
        /// Somebody holds the lock, or waits for it.
        public static let notAvailable = Code(kind: .notAvailable)
        /// A task that holds a mutex asked for it again: it would wait for itself.
        ///
        /// A mutex is taken again by its handle: ``Lease/withLock(_:)``, ``Lease/share()``. A `Task { }` that was started
        /// in a body counts as a part of it while the body runs; a `Task.detached { }` does not.
        public static let alreadyHeld = Code(kind: .alreadyHeld)
        /// A task that holds the read lock asked for the write lock: it would wait for itself.
        public static let upgradeNotAllowed = Code(kind: .upgradeNotAllowed)
        /// A downgrade of a lock that knows no readers: a mutex or a semaphore.
        public static let notReadWrite = Code(kind: .notReadWrite)
        /// The server's numbers for the lock's children are near their end.
        public static let queueNumbersExhausted = Code(kind: .queueNumbersExhausted)
        /// The znode with a semaphore's limit holds something else than four bytes.
        public static let limitUnreadable = Code(kind: .limitUnreadable)

        /// The code's name.
        public var description: String { "\(kind)" }

        /// What went wrong, where an error has no message of its own.
        var words: String? {
            switch kind {
            case .timedOut: "it was not granted within the time limit"
            case .lost: "it was lost while it was held"
            case .notAvailable: "somebody else holds it, or waits for it"
            case .released: "it has been released"
            case .alreadyHeld, .upgradeNotAllowed, .notReadWrite, .queueNumbersExhausted, .limitUnreadable: nil
            }
        }
    }

    /// What kind of error it is.
    public var code: Code
    /// The lock's path.
    public var path: String
    /// Why the lock was lost; `nil` for other codes.
    public var reason: LossReason?
    /// What would be right, where the code alone does not tell.
    public var message: String?

    /// Makes an error.
    public init(_ code: Code, path: String, reason: LossReason? = nil, message: String? = nil) {
        self.code = code
        self.path = path
        self.reason = reason
        self.message = message
    }

    /// The error in one line.
    public var description: String { errorText(code, at: path, detail: reason, message: message ?? code.words) }
}
