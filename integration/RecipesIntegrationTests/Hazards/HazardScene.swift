import Glibc
import Synchronization
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

extension LockScene {
    /// When the server created a contender's znode.
    func czxid(of name: ContenderName) async throws -> Int64? {
        try await other.exists(at: path(name))?.czxid.rawValue
    }

    /// How many children the lock's directory has had since its own creation.
    func creations() async throws -> Int { try await other.creations(below: Self.path) }
}

extension ZooKeeperClient {
    /// How many children a znode has had, as the server has counted them.
    func creations(below path: String) async throws -> Int {
        guard let stat = try await exists(at: path) else { return 0 }
        // The server tells twice the creations, less what stands.
        return (Int(stat.childrenVersion) + stat.childrenCount) / 2
    }
}

extension [ProxiedRequest.Operation] {
    /// How many of them list children.
    var listings: Int { count { $0 == .getChildren || $0 == .getChildrenWithStat } }
}

/// Where those who hold a lock pass, one at a time if the lock is one.
final class Crossing: Sendable {
    private let inside = Atomic(0)
    private let passed = Atomic(0)
    private let met = Atomic(0)

    /// How many have passed.
    var count: Int { passed.load(ordering: .relaxed) }
    /// How many have found somebody else there.
    var meetings: Int { met.load(ordering: .relaxed) }

    func pass() {
        enter()
        leave()
    }

    /// Stays there for as long as an operation takes.
    func stay(_ operation: () async throws -> Void) async throws {
        enter()
        defer { leave() }
        try await operation()
    }

    private func enter() {
        if inside.add(1, ordering: .sequentiallyConsistent).newValue > 1 { met.add(1, ordering: .relaxed) }
        passed.add(1, ordering: .relaxed)
    }

    private func leave() {
        inside.subtract(1, ordering: .sequentiallyConsistent)
    }
}

/// What this process takes of the machine from a moment on, and what its client sends.
struct Load {
    let connections: Int
    let framesToServer: Int
    private let begin = ContinuousClock.now
    private let spent = Self.processorTime()

    init(_ proxy: FaultProxy) {
        (connections, framesToServer) = (proxy.counters.connections, proxy.counters.framesToServer)
    }

    /// How many processor cores were busy with this process, on average.
    var cores: Double { (Self.processorTime() - spent) / (ContinuousClock.now - begin) }

    /// The processor time of all threads so far.
    private static func processorTime() -> Duration {
        var usage = rusage()
        getrusage(RUSAGE_SELF.rawValue, &usage)
        return [usage.ru_utime, usage.ru_stime].reduce(.zero) { sum, time in
            sum + .seconds(time.tv_sec) + .microseconds(Int(time.tv_usec))
        }
    }
}
