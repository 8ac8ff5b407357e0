/// The rule that decides which participants ahead block a participant.
///
/// A mutex, an election and a read-write lock are the same queue with different policies.
package enum ContenderPolicy: Sendable, Hashable {
    /// Waits for all participants ahead: a mutex, a leader selector or a leader latch.
    case exclusive(ContenderName.Kind)
    /// Waits for the writers ahead.
    case read
    /// Waits for all participants ahead.
    case write

    /// The kind in the name of the participant's znode.
    package var kind: ContenderName.Kind {
        switch self {
        case .exclusive(let kind): kind
        case .read: .read
        case .write: .write
        }
    }

    /// Returns whether a participant with this policy must wait for a participant of a kind ahead of it.
    package func conflicts(with kind: ContenderName.Kind) -> Bool {
        switch self {
        case .exclusive, .write: true
        case .read: kind == .write
        }
    }
}
