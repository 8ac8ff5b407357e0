/// How a process ended.
public enum ExitStatus: Sendable, Hashable, CustomStringConvertible {
    /// It returned this status, 0 for success.
    case exited(Int32)
    /// It was ended by this signal, such as 9 for SIGKILL.
    case signalled(Int32)

    /// Whether it returned 0.
    public var isSuccess: Bool { self == .exited(0) }

    /// The status in words.
    public var description: String {
        switch self {
        case .exited(let status): "exit status \(status)"
        case .signalled(let signal): "signal \(signal)"
        }
    }
}
