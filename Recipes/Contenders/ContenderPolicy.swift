/// Which contenders in front of another keep it waiting.
///
/// Mutex, election and read-write lock are the same queue with different policies.
package enum ContenderPolicy: Sendable, Hashable {
    /// Waits for everybody in front: a mutex, a selector or a latch.
    case exclusive(ContenderName.Kind)
    /// Waits for the writers in front.
    case read
    /// Waits for everybody in front.
    case write

    /// The word in the contender's own name.
    package var kind: ContenderName.Kind {
        switch self {
        case .exclusive(let kind): kind
        case .read: .read
        case .write: .write
        }
    }

    /// Whether one of this policy must wait for somebody in front.
    package func conflicts(with kind: ContenderName.Kind) -> Bool {
        switch self {
        case .exclusive, .write: true
        case .read: kind == .write
        }
    }
}
