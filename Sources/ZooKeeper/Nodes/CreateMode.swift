internal import ZooKeeperTransport

/// How long a znode lives, and whether the server numbers its name.
public struct CreateMode: Sendable, Hashable, CustomStringConvertible {
    enum Kind: Hashable {
        case persistent, ephemeral, persistentSequential, ephemeralSequential, container
        case persistentWithTTL(Duration), persistentSequentialWithTTL(Duration)
    }

    let kind: Kind

    /// Stays until it is deleted.
    public static let persistent = CreateMode(kind: .persistent)
    /// Goes with the session that created it; has no children.
    public static let ephemeral = CreateMode(kind: .ephemeral)
    /// Stays, and gets ten digits appended to its name that grow with each child of its parent.
    public static let persistentSequential = CreateMode(kind: .persistentSequential)
    /// Goes with its session, and is numbered.
    public static let ephemeralSequential = CreateMode(kind: .ephemeralSequential)
    /// Is deleted by the server some time after its last child has gone.
    public static let container = CreateMode(kind: .container)

    /// Is deleted by the server when it has no children and was not written for a time.
    ///
    /// The server must have `zookeeper.extendedTypesEnabled`, else the create fails with `.unimplemented`.
    /// - Parameter lifetime: From one millisecond to about 34 years; in whole milliseconds.
    public static func persistent(timeToLive lifetime: Duration) -> CreateMode {
        CreateMode(kind: .persistentWithTTL(lifetime))
    }

    /// The same, and numbered.
    public static func persistentSequential(timeToLive lifetime: Duration) -> CreateMode {
        CreateMode(kind: .persistentSequentialWithTTL(lifetime))
    }

    /// The mode's name.
    public var description: String { "\(kind)" }

    /// Whether the znode goes with its session.
    public var isEphemeral: Bool { kind == .ephemeral || kind == .ephemeralSequential }

    /// Whether the server appends a number to the name.
    public var isSequential: Bool {
        switch kind {
        case .persistentSequential, .ephemeralSequential, .persistentSequentialWithTTL: true
        case .persistent, .ephemeral, .container, .persistentWithTTL: false
        }
    }

    func transport() throws(ZooKeeperError) -> TransportCreateMode {
        switch kind {
        case .persistent: .persistent
        case .ephemeral: .ephemeral
        case .persistentSequential: .persistentSequential
        case .ephemeralSequential: .ephemeralSequential
        case .container: .container
        case .persistentWithTTL(let lifetime): .persistentWithTTL(try Self.milliseconds(lifetime))
        case .persistentSequentialWithTTL(let lifetime): .persistentSequentialWithTTL(try Self.milliseconds(lifetime))
        }
    }

    /// The longest lifetime the server can note: 40 bits of milliseconds.
    private static let longestLifetime: Int64 = 0xff_ffff_ffff

    private static func milliseconds(_ lifetime: Duration) throws(ZooKeeperError) -> Int64 {
        let milliseconds = lifetime.milliseconds
        guard milliseconds > 0, milliseconds <= longestLifetime else {
            throw ZooKeeperError(
                .invalidArgument,
                message: "time to live is \(lifetime); it must be from 1 ms to \(longestLifetime) ms"
            )
        }
        return milliseconds
    }
}
