/// The configuration of a participant in an election.
public struct LeaderConfiguration: Sendable, Hashable {
    /// The policy for a term in progress when the process shuts down gracefully.
    public struct ShutdownPolicy: Sendable, Hashable {
        enum Kind: Hashable { case cancelTerm, finishTerm }

        let kind: Kind

        /// Cancels the term's closure at once and waits for it.
        ///
        /// If the closure reacts to cancellation, the leadership is released within milliseconds.
        public static let cancelTerm = ShutdownPolicy(kind: .cancelTerm)
        /// Lets the term continue until its closure returns.
        ///
        /// The closure observes the shutdown with `cancelWhenGracefulShutdown` and similar functions.
        public static let finishTerm = ShutdownPolicy(kind: .finishTerm)
    }

    /// The policy for a term in progress when the process shuts down gracefully.
    ///
    /// A waiting participant leaves the election at once. Default: `.cancelTerm`.
    public var onGracefulShutdown: ShutdownPolicy = .cancelTerm

    /// The delay after the first failure.
    ///
    /// The delay doubles with each further failure. Each delay is shortened at random by up to half. Default: 100 ms.
    public var initialRetryDelay: Duration = .milliseconds(100)

    /// The longest delay after failures.
    ///
    /// Default: 30 s.
    public var maximumRetryDelay: Duration = .seconds(30)

    /// The duration after which a term counts as stable.
    ///
    /// After a stable term, the delays start again at ``initialRetryDelay``. Default: 10 s.
    public var retryResetInterval: Duration = .seconds(10)

    /// The shortest duration of a term for the next term to follow without a pause.
    ///
    /// Without this limit, a closure that returns or resigns at once would cause hundreds of terms a second. The first
    /// short term is followed by no pause, the second one by a pause of ``initialRetryDelay``. The pause doubles with each
    /// further short term up to this duration, and each pause is shortened at random by up to half. A longer term
    /// resets the pauses. During a pause, the participant is not in the queue, and ``LeaderState/failed(_:)`` reports
    /// the reason. Stopping the participant ends the pause at once. Resigning and transferring leadership are not
    /// delayed, because the pause comes after the term. Zero disables the pauses. Default: 1 s.
    public var minimumTermDuration: Duration = .seconds(1)

    /// Whether this participant accepts when a leader offers it the next term.
    ///
    /// Default: `true`.
    public var acceptsTransfers = true

    /// The priority of this participant as a leader, 0 or more.
    ///
    /// A participant with a priority above 0 asks leaders of a lower priority to hand over. It asks once it is ready
    /// and has been in the queue for ``takeoverDelay``. While that leader continues, it asks again, after pauses that
    /// grow to 5 minutes. A leader of the same or a higher priority continues. So does a leader that does not support
    /// priorities, such as a JVM process. Default: 0.
    public var priority = 0

    /// The time for which a participant must be ready and in the queue before it asks the leader to hand over.
    ///
    /// With a longer delay, a participant that often joins and leaves moves the leadership less often. Default: 30 s.
    public var takeoverDelay: Duration = .seconds(30)

    /// Whether the participant is ready from the start; otherwise it becomes ready when `setReady(true)` is called.
    ///
    /// Default: `true`.
    public var isReadyAtStart = true

    /// Creates a configuration with the default values.
    public init() {}

    func validate(path: String) throws(RecipeError) {
        func check(_ isRight: Bool, _ message: String) throws(RecipeError) {
            if !isRight { throw RecipeError(.invalidArgument, in: .election, path: path, message: message) }
        }
        try check(initialRetryDelay > .zero, "initialRetryDelay is \(initialRetryDelay); it must be over 0")
        try check(
            maximumRetryDelay >= initialRetryDelay,
            "maximumRetryDelay is \(maximumRetryDelay), less than initialRetryDelay, \(initialRetryDelay)")
        try check(
            minimumTermDuration >= .zero, "minimumTermDuration is \(minimumTermDuration); it must not be negative")
        try check(priority >= 0, "priority is \(priority); it must be 0 or more")
        try check(takeoverDelay >= .zero, "takeoverDelay is \(takeoverDelay); it must not be negative")
    }
}
