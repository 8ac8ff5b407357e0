import ArgumentParser
import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes

/// The options that select the kind of a lock.
struct LockKindOptions: ParsableArguments {
    @Flag(help: "Acquire the read lock of a read-write lock: only a writer excludes readers.")
    var read = false

    @Flag(help: "Acquire the write lock of a read-write lock, which excludes readers and writers.")
    var write = false

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Acquire one of this number of leases.",
            discussion: "The first program that uses the semaphore stores the number; it then applies to all.",
            valueName: "leases"),
        transform: number(1...Int(Int32.max)))
    var semaphore: Int?

    func validate() throws {
        guard [read, write, semaphore != nil].count(where: { $0 }) <= 1 else {
            throw ValidationError(
                "--read, --write and --semaphore exclude each other: use one of them, or none for a mutex")
        }
    }

    /// The selected kind.
    var kind: LockKind {
        if let semaphore { return .semaphore(limit: semaphore) }
        return read ? .read : write ? .write : .mutex
    }
}

/// A lock that `zkrecipes lock` acquires.
enum LockKind: Sendable, Hashable {
    case mutex
    case read
    case write
    case semaphore(limit: Int)

    /// Runs an operation while holding the lock.
    ///
    /// - Parameter wait: The longest time to wait. Zero does not join the queue; `nil` waits without limit.
    func withLock(
        _ client: ZooKeeperClient, path: String, id: String, wait: Duration?,
        _ operation: @escaping @Sendable (Lease) async throws -> Void
    ) async throws {
        let joinsQueue = wait != .zero
        switch self {
        case .mutex:
            let mutex = try DistributedMutex(client: client, path: path, id: id)
            guard joinsQueue else { return try await mutex.tryWithLock(operation) }
            try await mutex.withLock(timeout: wait, operation)
        case .read:
            let lock = try DistributedReadWriteLock(client: client, path: path, id: id)
            guard joinsQueue else { return try await lock.tryWithReadLock(operation) }
            try await lock.withReadLock(timeout: wait, operation)
        case .write:
            let lock = try DistributedReadWriteLock(client: client, path: path, id: id)
            guard joinsQueue else { return try await lock.tryWithWriteLock(operation) }
            try await lock.withWriteLock(timeout: wait, operation)
        case .semaphore(let limit):
            let semaphore = try DistributedSemaphore(client: client, path: path, limit: limit, id: id)
            let stored = try await semaphore.limit()
            if stored != limit {
                Output.notice(
                    "the semaphore at \(path) has \(stored) \(noun("lease", for: stored)), which applies, not "
                        + "--semaphore \(limit)")
            }
            guard joinsQueue else { return try await semaphore.tryWithLease(operation) }
            try await semaphore.withLease(timeout: wait, operation)
        }
    }

    /// Checks that no participants at a path use another kind of lock, because different kinds do not exclude each
    /// other.
    ///
    /// - Throws: `ValidationError` if there are such participants.
    func check(_ path: String, _ client: ZooKeeperClient) async throws {
        let names = try await client.listing(of: path).names
        guard let problem = problem(ofChildren: names) else { return }
        throw ValidationError("PATH \(Text.quoted(path)) \(problem)")
    }

    /// Returns what is wrong with a path whose znode has these children, or `nil` if this lock can be there.
    func problem(ofChildren names: [String]) -> String? {
        guard let existing = RecipeKind.recognized(byChildren: names, hasEpoch: false), existing != recipe else {
            return nil
        }
        let remedy: String
        switch existing {
        case .mutex: remedy = "use neither --read, --write nor --semaphore"
        case .readWriteLock: remedy = "use --read or --write"
        case .semaphore: remedy = "use --semaphore"
        default: return nil
        }
        return "is used as a \(existing.title), which this command would not exclude: \(remedy), or another path"
    }

    private var recipe: RecipeKind {
        switch self {
        case .mutex: .mutex
        case .read, .write: .readWriteLock
        case .semaphore: .semaphore
        }
    }
}
