public import ZooKeeper

/// Why a recipe could not do what was asked of it, or not to the end.
///
/// One type for all recipes, so that one clause catches the loss of anything, whatever was held:
/// `catch let error as RecipeError where error.code == .lost`. <doc:Handling-errors> lists what to do about each code.
///
/// Errors of the ensemble itself, such as `.noAuth`, are `ZooKeeperError`; a cancelled task gets `CancellationError`.
public struct RecipeError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kind of an error.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        enum Kind: Hashable {
            case lost, timedOut, notAvailable, released, stopped, alreadyHeld, upgradeNotAllowed, notReadWrite
            case queueNumbersExhausted, invalidArgument, unreadable, outcomeUnknown, overflow, duplicate, notPaused
            case notLeading, unknownParticipant, transferRefused, notFound, notRunning, notAsked, conflict
        }

        let kind: Kind

        /// What was held was lost: a lock, a term, a window, an event's permit; ``RecipeError/reason`` says why.
        ///
        /// The operation that ran under it was cancelled and has ended. What it did at the end may have happened beside another
        /// holder: a store that checks fencing tokens has refused that.
        public static let lost = Code(kind: .lost)
        /// The time to wait ran out; nothing is held and no place in a queue is kept.
        ///
        /// A transfer of leadership: the participant did not come in time, and will not come any more.
        public static let timedOut = Code(kind: .timedOut)
        /// Somebody holds it, or waits for it, and waiting was not asked for.
        ///
        /// With a window, ``RecipeError/participants`` has the name of its holder.
        public static let notAvailable = Code(kind: .notAvailable)
        /// The lease was released in order, so that nothing can be done by it any more.
        public static let released = Code(kind: .released)
        /// `run()` has ended, so that it does nothing any more: a gate, a participant, a member, a node.
        public static let stopped = Code(kind: .stopped)
        /// The call would wait for itself: its task holds the mutex, or is inside a permit or a window of the same mode.
        ///
        /// A mutex is taken again by its handle: ``Lease/withLock(_:)``, ``Lease/share()``. A `Task { }` that was started
        /// inside counts as inside until that has ended; a `Task.detached { }` does not.
        public static let alreadyHeld = Code(kind: .alreadyHeld)
        /// A task that holds the read lock asked for the write lock: it would wait for itself.
        public static let upgradeNotAllowed = Code(kind: .upgradeNotAllowed)
        /// A downgrade of a lock that knows no readers: a mutex or a semaphore.
        public static let notReadWrite = Code(kind: .notReadWrite)
        /// The server's numbers for the directory's children are near their end.
        public static let queueNumbersExhausted = Code(kind: .queueNumbersExhausted)
        /// An argument that cannot be; the message names it and the rule.
        public static let invalidArgument = Code(kind: .invalidArgument)
        /// The znode does not hold what it should: a semaphore's limit, a counter's number.
        public static let unreadable = Code(kind: .unreadable)
        /// The answer to a write was lost, and what is there now does not tell whether it was executed.
        ///
        /// ``RecipeError/present`` is what was there afterwards.
        public static let outcomeUnknown = Code(kind: .outcomeUnknown)
        /// The counter's number would not fit its format; nothing was written.
        public static let overflow = Code(kind: .overflow)
        /// Another member of the group has the same id; see ``RecipeError/occupant``.
        public static let duplicate = Code(kind: .duplicate)
        /// Not every processor paused in time, and all of them resume; ``RecipeError/participants`` has those that did not.
        public static let notPaused = Code(kind: .notPaused)
        /// This participant does not lead, or its term is ending already.
        public static let notLeading = Code(kind: .notLeading)
        /// Nobody with this id waits in the queue.
        public static let unknownParticipant = Code(kind: .unknownParticipant)
        /// The participant did not take the place that it was offered; the leader still leads.
        public static let transferRefused = Code(kind: .transferRefused)
        /// There is no group or scheduled task at the path.
        public static let notFound = Code(kind: .notFound)
        /// The run has ended already.
        public static let notRunning = Code(kind: .notRunning)
        /// No operator is asked about this period.
        public static let notAsked = Code(kind: .notAsked)
        /// Others changed the same znode again and again.
        public static let conflict = Code(kind: .conflict)

        /// The code's name.
        public var description: String { "\(kind)" }

        /// What went wrong, where an error has no message of its own.
        var words: String? {
            switch kind {
            case .timedOut: "it was not granted within the time limit"
            case .lost: "it was lost while it was held"
            case .notAvailable: "somebody else holds it, or waits for it"
            case .released: "it has been released"
            case .stopped: "it has stopped, and will not start again"
            case .notPaused: "these processors have not paused in time, and all resume"
            default: nil
            }
        }
    }

    /// What an error is about.
    public enum Recipe: String, Sendable, Hashable, CaseIterable {
        /// A mutex, a read-write lock, a semaphore or several locks together.
        case lock
        case election
        case exclusiveMode = "exclusive mode"
        /// A group, or a persistent znode.
        case group
        case partitionGroup = "partition group"
        case barrier
        /// A shared value or counter.
        case sharedValue = "shared value"
        case scheduledTask = "scheduled task"
    }

    /// What kind of error it is.
    public var code: Code
    /// What it is about.
    public var recipe: Recipe
    /// The path that the recipe was made with, or the znode that is meant.
    public var path: String
    /// Why it was lost; `nil` for other codes.
    public var reason: LossReason?
    /// Who has not paused, with `.notPaused`; who has the window, with `.notAvailable`.
    public var participants: [String]
    /// Who has the id, with `.duplicate`.
    public var occupant: StandingZNode?
    /// What was read after a write, with `.outcomeUnknown`.
    public var present: VersionedValue?
    /// What was wrong and what would be right, where the code alone does not tell.
    public var message: String?

    /// Makes an error.
    public init(
        _ code: Code, in recipe: Recipe, path: String, reason: LossReason? = nil, participants: [String] = [],
        occupant: StandingZNode? = nil, present: VersionedValue? = nil, message: String? = nil
    ) {
        self.code = code
        self.recipe = recipe
        self.path = path
        self.reason = reason
        self.participants = participants
        self.occupant = occupant
        self.present = present
        self.message = message
    }

    /// The error in one line.
    public var description: String {
        let names = participants.isEmpty ? "" : ": \(participants.joined(separator: ", "))"
        let detail = reason.map { "\($0)" } ?? occupant.map { "\($0)" }
        return errorText(code, at: path, detail: detail, message: message ?? code.words.map { $0 + names })
    }
}

extension RunOnce {
    /// Takes the only run of a recipe.
    ///
    /// - Parameter part: What is run, for the error.
    package func begin(_ part: String, in recipe: RecipeError.Recipe, path: String) throws(RecipeError) {
        guard begin() else {
            throw RecipeError(.invalidArgument, in: recipe, path: path, message: "\(part) is run once")
        }
    }
}
