/// How a participant behaves in an election.
public struct LeaderConfiguration: Sendable, Hashable {
    /// What becomes of a term when the process shuts down gracefully.
    public struct ShutdownPolicy: Sendable, Hashable {
        enum Kind: Hashable { case cancelTerm, finishTerm }

        let kind: Kind

        /// The term's closure is cancelled at once and awaited.
        ///
        /// The place is given up within milliseconds when the closure heeds its cancellation.
        public static let cancelTerm = ShutdownPolicy(kind: .cancelTerm)
        /// The term goes on until its closure returns, which sees the shutdown by `cancelWhenGracefulShutdown` and the like.
        public static let finishTerm = ShutdownPolicy(kind: .finishTerm)
    }

    /// What becomes of a term when the process shuts down gracefully; a participant that waits leaves at once.
    public var onGracefulShutdown: ShutdownPolicy = .cancelTerm

    /// The pause after the first failure; it doubles with each one that follows, each shortened by up to half at random.
    public var firstPause: Duration = .milliseconds(100)

    /// The longest pause after failures.
    public var longestPause: Duration = .seconds(30)

    /// A term that lasted for this long was stable: the pauses begin anew with the first one.
    public var stableAfter: Duration = .seconds(10)

    /// Terms that are shorter than this are not allowed to follow one another without a pause.
    ///
    /// A closure that returns or resigns at once would otherwise make hundreds of terms a second. The first short term is
    /// followed by none, the second one by a pause of ``firstPause``. The pause doubles with each further short term up to
    /// this duration, each shortened by up to half at random. A longer term begins anew. During the pause the participant is
    /// not in the queue, and ``LeaderState/failed(_:)`` tells the reason; stopping it ends the pause at once. Resigning
    /// and handing over are not delayed, because the pause comes after the term. Zero means no pauses. Default: 1 s.
    public var minimumTermDuration: Duration = .seconds(1)

    /// Whether this participant comes when a leader offers it the next term.
    public var acceptsTransfers = true

    /// How much this participant is preferred as the leader: over 0 it asks leaders of a lower priority for their place.
    ///
    /// It asks once it is ready and has been in the queue for ``takeoverDelay``, and again after pauses that grow to five
    /// minutes as long as that leader goes on. A leader of the same or a higher priority goes on, and so does one that does
    /// not know of priorities, such as a JVM process.
    public var priority = 0

    /// For how long a participant has to be ready, and in the queue, before it asks for the leader's place.
    ///
    /// The longer, the less does a participant that comes and goes move the leadership.
    public var takeoverDelay: Duration = .seconds(30)

    /// Whether the participant is ready from the start; else it is once `ready()` was called.
    public var isReadyAtStart = true

    /// Makes a configuration with these defaults.
    public init() {}

    func validate(path: String) throws(RecipeError) {
        func check(_ isRight: Bool, _ message: String) throws(RecipeError) {
            if !isRight { throw RecipeError(.invalidArgument, in: .election, path: path, message: message) }
        }
        try check(firstPause > .zero, "firstPause is \(firstPause); it must be over 0")
        try check(longestPause >= firstPause, "longestPause is \(longestPause), less than firstPause, \(firstPause)")
        try check(
            minimumTermDuration >= .zero, "minimumTermDuration is \(minimumTermDuration); it must not be negative")
        try check(priority >= 0, "priority is \(priority); it must be 0 or more")
        try check(takeoverDelay >= .zero, "takeoverDelay is \(takeoverDelay); it must not be negative")
    }
}
