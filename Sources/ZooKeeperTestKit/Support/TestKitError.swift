/// An error of the test kit, with a message that contains the remedy.
///
/// It is always an error of the test environment, never of the code under test.
public struct TestKitError: Error, Sendable, CustomStringConvertible {
    /// The codes of errors; more may be added.
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
        /// If the port is in use, the message names the port. Otherwise it contains the end of the process's log.
        public static let startFailed = Code(.startFailed)
        /// A server's process ended by itself, without ``TestServer/stop()`` or ``TestServer/kill()``.
        ///
        /// The message contains the end of its log.
        public static let exited = Code(.ended)
        /// A server did not answer.
        public static let noResponse = Code(.noAnswer)
        /// The server does not know the session, or the password is wrong.
        public static let sessionNotFound = Code(.sessionNotFound)
        /// The operating system refused a call.
        ///
        /// The message names the call and its error.
        public static let system = Code(.system)
        /// The test kit was used incorrectly, for example a link was requested from an ensemble without proxies.
        public static let misuse = Code(.misuse)

        /// The name of the code.
        public var description: String { self.kind.rawValue }
    }

    /// The code of the error.
    public var code: Code
    /// A message that says what happened and how to fix it.
    public var message: String

    /// Creates an error.
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The code and the message.
    public var description: String { "\(self.code): \(self.message)" }
}
