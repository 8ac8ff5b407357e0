internal import ZooKeeperTransport

/// The lifetime of a znode, and whether the server numbers its name.
public struct CreateMode: Sendable, Hashable, CustomStringConvertible {
    enum Kind: Hashable {
        case persistent, ephemeral, persistentSequential, ephemeralSequential, container
        case persistentWithTTL(Duration), persistentSequentialWithTTL(Duration)
    }

    let kind: Kind

    /// A znode that exists until it is deleted.
    public static let persistent = CreateMode(kind: .persistent)
    /// A znode that the server deletes when the session that created it ends; it cannot have children.
    public static let ephemeral = CreateMode(kind: .ephemeral)
    /// A persistent znode with ten digits appended to its name, which increase with each child of its parent.
    public static let persistentSequential = CreateMode(kind: .persistentSequential)
    /// An ephemeral znode whose name is numbered.
    public static let ephemeralSequential = CreateMode(kind: .ephemeralSequential)
    /// A znode that the server deletes some time after its last child was deleted.
    public static let container = CreateMode(kind: .container)

    /// A znode that the server deletes when it has no children and was not written for the given time.
    ///
    /// The server must be started with `zookeeper.extendedTypesEnabled`; otherwise the create fails with
    /// `.unimplemented`.
    ///
    /// - Parameter lifetime: A duration from 1 ms to about 34 years; it is truncated to whole milliseconds.
    public static func persistent(timeToLive lifetime: Duration) -> CreateMode {
        CreateMode(kind: .persistentWithTTL(lifetime))
    }

    /// A znode as of ``persistent(timeToLive:)`` whose name is numbered.
    ///
    /// - Parameter lifetime: A duration from 1 ms to about 34 years; it is truncated to whole milliseconds.
    public static func persistentSequential(timeToLive lifetime: Duration) -> CreateMode {
        CreateMode(kind: .persistentSequentialWithTTL(lifetime))
    }

    /// The name of the mode.
    public var description: String { "\(kind)" }

    /// Whether the server deletes the znode when its session ends.
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

    /// The longest lifetime that the server can store: 40 bits of milliseconds.
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
