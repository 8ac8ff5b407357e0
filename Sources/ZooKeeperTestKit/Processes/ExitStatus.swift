/// The way in which a process ended.
public enum ExitStatus: Sendable, Hashable, CustomStringConvertible {
    /// The process exited with this status; 0 means success.
    case exited(Int32)
    /// The process was ended by this signal, such as 9 for SIGKILL.
    case signalled(Int32)

    /// Whether the process exited with status 0.
    public var isSuccess: Bool { self == .exited(0) }

    /// A description of the status in words.
    public var description: String {
        switch self {
        case .exited(let status): "exit status \(status)"
        case .signalled(let signal): "signal \(signal)"
        }
    }
}
