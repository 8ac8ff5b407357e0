import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

extension LockScene {
    static let semaphorePath = "/app/semaphore"

    /// A semaphore of the client behind the proxy.
    func semaphore(_ limit: Int) throws -> DistributedSemaphore {
        try DistributedSemaphore(client: client, path: Self.semaphorePath, limit: limit, id: "near")
    }

    /// The same semaphore, for whoever else uses it.
    func otherSemaphore(_ limit: Int) throws -> DistributedSemaphore {
        try DistributedSemaphore(client: other, path: Self.semaphorePath, limit: limit, id: "far")
    }

    /// What stands in one of the semaphore's directories, once it satisfies a condition.
    @discardableResult
    func semaphoreChildren(
        of directory: String, where matches: ([String]) -> Bool
    ) async throws -> [String] {
        let path = "\(Self.semaphorePath)/\(directory)"
        while true {
            let (stat, created) = try await other.watchExistence(at: path)
            guard stat != nil else {
                if matches([]) { return [] }
                _ = try await created.event()
                continue
            }
            let (names, _, watch) = try await other.watchChildren(of: path)
            if matches(names) { return names.sorted() }
            _ = try await watch.event()
        }
    }

    /// Waits until nothing of an attempt is left, and takes all leases there are.
    func expectFullCapacity(_ limit: Int) async throws {
        try await semaphoreChildren(of: "locks") { $0.isEmpty }
        try await semaphoreChildren(of: "leases") { $0.isEmpty }
        let all = try await otherSemaphore(limit).tryAcquire(count: limit)
        #expect(await all.release() == .deleted)
    }
}

extension Holder {
    static func leases(_ semaphore: DistributedSemaphore, _ count: Int = 1) -> Holder {
        Holder { try await semaphore.withLease(count: count, $0) }
    }
}
