import Synchronization
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// Several clients that take and leave a lock, some of which change their minds.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct LockLoadTests {
    /// What the bodies see of one another.
    private final class Witness: Sendable {
        struct State {
            var readers = 0
            var writers = 0
            var grants = 0
            var violations = 0
            var highestWriteToken = Int64.min
        }

        let state = Mutex(State())

        func enter(isWriter: Bool, token: FencingToken) {
            state.withLock { state in
                state.grants += 1
                if state.writers > 0 || (isWriter && state.readers > 0) { state.violations += 1 }
                if token.rawValue < state.highestWriteToken { state.violations += 1 }
                if isWriter {
                    state.writers += 1
                    if token.rawValue == state.highestWriteToken { state.violations += 1 }
                    state.highestWriteToken = token.rawValue
                } else {
                    state.readers += 1
                }
            }
        }

        func leave(isWriter: Bool) {
            state.withLock { state in
                if isWriter { state.writers -= 1 } else { state.readers -= 1 }
            }
        }
    }

    @Test(arguments: [1, 2] as [UInt64])
    func `nobody is in with a writer, while clients come, go, and are cancelled`(seed: UInt64) async throws {
        let witness = Witness()
        try await withTestServer { server in
            let configuration = try ZooKeeperClientConfiguration(
                connectionString: server.connectionString, sessionTimeout: .seconds(20))
            try await withZooKeeperClient(configuration: configuration) { observer in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<4 {
                        group.addTask {
                            try await withZooKeeperClient(configuration: configuration) { client in
                                try await contend(client, seed: seed * 10 + UInt64(number), witness: witness)
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                #expect(try await observer.children(of: "/lock").names.isEmpty)
            }
            #expect(try await server.counters().watchCount == 0)
        }
        let result = witness.state.withLock { $0 }
        #expect(result.violations == 0)
        #expect(result.grants > 100)
        #expect(result.readers == 0 && result.writers == 0)
    }

    /// One client's tasks: half of the attempts wait, some are cancelled, some only try, some have little patience.
    private func contend(_ client: ZooKeeperClient, seed: UInt64, witness: Witness) async throws {
        let lock = try DistributedReadWriteLock(client: client, path: "/lock")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for task in 0..<3 {
                group.addTask {
                    var random = SplitMix(state: seed * 100 + UInt64(task))
                    for _ in 0..<30 { try await attempt(lock, &random, witness) }
                }
            }
            try await group.waitForAll()
        }
        try await awaitNothingLeft(of: client)
    }

    /// Those that ran out of time may still be cleaned up.
    private func awaitNothingLeft(of client: ZooKeeperClient) async throws {
        while true {
            let (names, _, watch) = try await client.watchChildren(of: "/lock")
            var isEmpty = true
            for name in names {
                let stat = try await client.exists(at: "/lock/\(name)")
                if stat?.ephemeralOwner == client.session?.id { isEmpty = false }
            }
            if isEmpty { return }
            _ = try await watch.event()
        }
    }

    private func attempt(_ lock: DistributedReadWriteLock, _ random: inout SplitMix, _ witness: Witness) async throws {
        let isWriter = Bool.random(using: &random)
        let turns = Int.random(in: 0...20, using: &random)
        let body: @Sendable (Lease) async throws -> Void = { lease in
            witness.enter(isWriter: isWriter, token: lease.fencingToken)
            for _ in 0..<turns { await Task.yield() }
            witness.leave(isWriter: isWriter)
        }
        let way = Int.random(in: 0..<5, using: &random)
        let task = Task {
            switch (way, isWriter) {
            case (0, true): try await lock.tryWithWriteLock(body)
            case (0, false): try await lock.tryWithReadLock(body)
            case (1, true): try await lock.withWriteLock(timeout: .milliseconds(5), body)
            case (1, false): try await lock.withReadLock(timeout: .milliseconds(5), body)
            case (_, true): try await lock.withWriteLock(body)
            case (_, false): try await lock.withReadLock(body)
            }
        }
        if way == 2 {
            for _ in 0..<Int.random(in: 0...200, using: &random) { await Task.yield() }
            task.cancel()
        }
        do {
            try await task.value
        } catch let error as RecipeError where [.timedOut, .notAvailable].contains(error.code) {
        } catch is CancellationError where way == 2 {
        }
    }
}

/// A generator that gives the same numbers for the same seed.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
