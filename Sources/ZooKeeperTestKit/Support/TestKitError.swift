/// What went wrong in the test kit, said so that a person can mend it.
///
/// These are errors of the machinery, never of the code under test.
public struct TestKitError: Error, Sendable, CustomStringConvertible {
    /// The kinds of errors; more may be added.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Kind: String {
            case missingJava, missingJars, startFailed, ended, noAnswer, sessionNotFound, system, misuse
        }
        private let kind: Kind
        private init(_ kind: Kind) { self.kind = kind }

        /// No Java runtime was found.
        ///
        /// The message names the package to install.
        public static let missingJava = Code(.missingJava)
        /// The jars of the ZooKeeper server were not found.
        ///
        /// The message names the package to install.
        public static let missingJars = Code(.missingJars)
        /// A process ended, or did not become ready in time.
        ///
        /// The message names the port if it is in use, else it has the end of the process's log.
        public static let startFailed = Code(.startFailed)
        /// A server's process ended by itself: neither ``TestServer/stop()`` nor ``TestServer/kill()`` ended it.
        ///
        /// The message has the end of its log.
        public static let ended = Code(.ended)
        /// A server did not answer.
        public static let noAnswer = Code(.noAnswer)
        /// The server does not know the session, or its password is another.
        public static let sessionNotFound = Code(.sessionNotFound)
        /// The operating system refused a call.
        ///
        /// The message names the call and its error.
        public static let system = Code(.system)
        /// The kit was asked for something it cannot do, such as a link of an ensemble without proxies.
        public static let misuse = Code(.misuse)

        /// The name of the code.
        public var description: String { self.kind.rawValue }
    }

    /// What kind of error it is.
    public var code: Code
    /// What happened, and what can be done about it.
    public var message: String

    /// Makes an error.
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The code and the message.
    public var description: String { "\(self.code): \(self.message)" }
}
