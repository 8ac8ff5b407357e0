public import ZooKeeper

/// The reason why a recipe could not perform or complete an operation.
///
/// All recipes share this type, so one clause handles every loss of a lock, leadership or window:
/// `catch let error as RecipeError where error.code == .lost`. <doc:Handling-errors> describes how to handle each code.
///
/// Errors of the ensemble, such as `.noAuth`, are reported as `ZooKeeperError`. A cancelled task throws
/// `CancellationError`.
public struct RecipeError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The code of an error.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        enum Kind: Hashable {
            case lost, timedOut, notAvailable, released, stopped, alreadyHeld, upgradeNotAllowed, notReadWrite
            case queueNumbersExhausted, invalidArgument, unreadable, outcomeUnknown, overflow, duplicate, notPaused
            case notLeading, unknownParticipant, transferRefused, notAnswered, notFound, notRunning
            case notAwaitingDecision, conflict
        }

        let kind: Kind

        /// The lock, term, window, or permit of an event was lost; ``RecipeError/lossReason`` contains the reason.
        ///
        /// The operation that ran under it was cancelled and has ended. Its last steps may have run at the same time as
        /// another holder. A store that checks fencing tokens has refused the writes of these steps.
        public static let lost = Code(kind: .lost)
        /// The timeout has passed; nothing is held, and no position in a queue is kept.
        ///
        /// For a transfer of leadership: the participant did not accept it in time, and can no longer accept it.
        public static let timedOut = Code(kind: .timedOut)
        /// Another participant holds the resource or waits for it, and the caller did not want to wait.
        ///
        /// For a window, ``RecipeError/participants`` contains the ID of its holder. For a backfill of a scheduled task,
        /// another one is pending, and ``RecipeError/participants`` contains the ID of its operator.
        public static let notAvailable = Code(kind: .notAvailable)
        /// The lease was released, so it can no longer be used.
        public static let released = Code(kind: .released)
        /// `run()` has ended, so the gate, participant, member or node can no longer be used.
        public static let stopped = Code(kind: .stopped)
        /// The call would deadlock: its task holds the mutex, or is inside a permit or a window of the same mode.
        ///
        /// A mutex is reentrant by handle: ``Lease/withLock(_:)``, ``Lease/share()``. A `Task { }` that was started
        /// inside counts as inside until the lock is released or the permit or window has ended. A `Task.detached { }`
        /// does not count as inside.
        public static let alreadyHeld = Code(kind: .alreadyHeld)
        /// A task that holds the read lock requested the write lock, which would deadlock.
        public static let upgradeNotAllowed = Code(kind: .upgradeNotAllowed)
        /// A downgrade was requested for a lock without readers: a mutex or a semaphore.
        public static let notReadWrite = Code(kind: .notReadWrite)
        /// The server's sequence numbers for the children of the directory are nearly exhausted.
        public static let queueNumbersExhausted = Code(kind: .queueNumbersExhausted)
        /// An invalid argument; the message names it and the rule.
        public static let invalidArgument = Code(kind: .invalidArgument)
        /// The znode does not contain valid data, such as a semaphore's limit or a counter's number.
        public static let unreadable = Code(kind: .unreadable)
        /// The answer to a write was lost, and the current contents do not show whether it was executed.
        ///
        /// ``RecipeError/currentValue`` contains the contents that were read afterwards.
        public static let outcomeUnknown = Code(kind: .outcomeUnknown)
        /// The counter's number does not fit its format; nothing was written.
        public static let overflow = Code(kind: .overflow)
        /// Another member of the group has the same ID; see ``RecipeError/occupant``.
        public static let duplicate = Code(kind: .duplicate)
        /// Not every processor paused in time, so all processors resume.
        ///
        /// ``RecipeError/participants`` contains the IDs of the processors that did not pause.
        public static let notPaused = Code(kind: .notPaused)
        /// The participant is not the leader, or its term is already ending.
        public static let notLeading = Code(kind: .notLeading)
        /// No participant with this ID waits in the queue.
        public static let unknownParticipant = Code(kind: .unknownParticipant)
        /// The participant did not accept the transfer of leadership; the leader is unchanged.
        public static let transferRefused = Code(kind: .transferRefused)
        /// A participant did not do in time what an operator requested.
        ///
        /// It may do so later, unless it has not read the request, which is then withdrawn. The message tells which.
        public static let notAnswered = Code(kind: .notAnswered)
        /// There is no group, scheduled task or limit of a semaphore at the path.
        public static let notFound = Code(kind: .notFound)
        /// The run has already ended.
        public static let notRunning = Code(kind: .notRunning)
        /// The run of this period does not wait for an operator's answer.
        public static let notAwaitingDecision = Code(kind: .notAwaitingDecision)
        /// Other processes kept changing the same znode.
        public static let conflict = Code(kind: .conflict)

        /// The name of the code.
        public var description: String { "\(kind)" }

        /// The default message of the code.
        var words: String? {
            switch kind {
            case .timedOut: "it was not granted within the time limit"
            case .lost: "it was lost while it was held"
            case .notAvailable: "another participant holds it or waits for it"
            case .released: "it has been released"
            case .stopped: "it has stopped, and will not start again"
            case .notPaused: "these processors have not paused in time, and all resume"
            default: nil
            }
        }
    }

    /// The recipe that an error refers to.
    public enum Recipe: String, Sendable, Hashable, CaseIterable {
        /// A mutex, a read-write lock, a semaphore or a multi-lock.
        case lock
        /// A leader election.
        case election
        /// An exclusive mode, with its gates and windows.
        case exclusiveMode = "exclusive mode"
        /// A group, or a persistent znode.
        case group
        /// A partition group.
        case partitionGroup = "partition group"
        /// A cache of a znode, of its children or of a subtree.
        case cache
        /// A barrier or a double barrier.
        case barrier
        /// A shared value or a shared counter.
        case sharedValue = "shared value"
        /// A scheduled task.
        case scheduledTask = "scheduled task"
    }

    /// The code of the error.
    public var code: Code
    /// The recipe that the error refers to.
    public var recipe: Recipe
    /// The path that the recipe was created with, or the path of the affected znode.
    public var path: String
    /// The reason for the loss, with code `.lost`; otherwise `nil`.
    public var lossReason: LossReason?
    /// The IDs of the participants that the error is about.
    ///
    /// With code `.notPaused`, these are the processors that have not paused; with `.notAvailable`, the holder of the
    /// window.
    public var participants: [String]
    /// The znode of the member that has the ID, with code `.duplicate`.
    public var occupant: ExistingZNode?
    /// The contents that were read after a write, with code `.outcomeUnknown`.
    public var currentValue: VersionedValue?
    /// Details and the remedy, if the code alone is not sufficient.
    public var message: String?

    /// Creates an error.
    ///
    /// - Parameters:
    ///   - code: The code.
    ///   - recipe: The recipe that the error refers to.
    ///   - path: The path that the recipe was created with, or the path of the affected znode.
    ///   - lossReason: The reason for the loss. Default: `nil`.
    ///   - participants: The IDs of the participants that the error is about. Default: none.
    ///   - occupant: The znode of the member that has the ID. Default: `nil`.
    ///   - currentValue: The contents that were read after a write. Default: `nil`.
    ///   - message: Details and the remedy. Default: `nil`.
    public init(
        _ code: Code, in recipe: Recipe, path: String, lossReason: LossReason? = nil, participants: [String] = [],
        occupant: ExistingZNode? = nil, currentValue: VersionedValue? = nil, message: String? = nil
    ) {
        self.code = code
        self.recipe = recipe
        self.path = path
        self.lossReason = lossReason
        self.participants = participants
        self.occupant = occupant
        self.currentValue = currentValue
        self.message = message
    }

    /// The error in one line.
    public var description: String {
        let names = participants.isEmpty ? "" : ": \(participants.joined(separator: ", "))"
        let detail = lossReason.map { "\($0)" } ?? occupant.map { "\($0)" }
        return errorText(code, at: path, detail: detail, message: message ?? code.words.map { $0 + names })
    }
}

extension RecipeError {
    /// Returns a closure that recognizes the error of a call that failed because its service has ended.
    ///
    /// In this case the error of the service's `run()` is the cause.
    /// - Parameter recipe: The recipe of the service.
    static func reportsEnd(of recipe: Recipe) -> (any Error) -> Bool {
        { error in
            guard let error = error as? RecipeError else { return false }
            return error.code == .stopped && error.recipe == recipe
        }
    }
}

extension RunOnce {
    /// Marks the recipe as run; a recipe can run only once.
    ///
    /// - Parameters:
    ///   - part: The name of the part that runs, for the error message.
    ///   - recipe: The recipe, for the error.
    ///   - path: The path, for the error.
    /// - Throws: ``RecipeError`` with code `.invalidArgument` if the recipe has run before.
    package func begin(_ part: String, in recipe: RecipeError.Recipe, path: String) throws(RecipeError) {
        guard begin() else {
            throw RecipeError(
                .invalidArgument, in: recipe, path: path,
                message: "\(part) can run only once, and this one was run before")
        }
    }
}
