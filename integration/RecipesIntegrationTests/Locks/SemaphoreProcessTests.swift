import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// Leases held by a process of its own, which is frozen.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(3)))
struct SemaphoreProcessTests {
    /// Waits for the answer to a command; gives what follows `ok`, or `nil` for an error.
    private func answer(_ number: Int, of peer: TestProcess) async throws -> String? {
        let line = try await peer.line { $0.hasPrefix("\(number) ") }
        return line.hasPrefix("\(number) ok") ? String(line.dropFirst("\(number) ok ".count)) : nil
    }

    @Test func `a holder frozen beyond its session holds no more when it wakes, and another has its lease`()
        async throws
    {
        try await LockScene.with { scene in
            let path = LockScene.semaphorePath
            let frozen = try TestProcess(
                TestProcess.path(ofProduct: "ToolkitPeer"),
                arguments: [scene.server.connectionString, "2000", "frozen"], takesInput: true)
            _ = try await answer(0, of: frozen)
            try frozen.send(line: "1 take first semaphore:2 \(path)")
            let first = try #require(try await answer(1, of: frozen))
            let near = Holder.leases(try scene.semaphore(2))
            _ = try await near.lease
            let next = Holder.leases(try scene.otherSemaphore(2))
            try await scene.semaphoreChildren(of: "locks") { $0.count == 1 }

            try frozen.pause()
            let lease = try await next.lease
            #expect(try lease.fencingToken.rawValue > #require(Int64(first)))
            // The first thing that it does when it wakes.
            try frozen.send(line: "2 act first")
            try frozen.resume()
            try await frozen.line { $0.hasPrefix("~ ") && $0.hasSuffix(" acted \(first) invalid") }
            try frozen.send(line: "3 give first")
            #expect(try await answer(3, of: frozen) == nil)
            #expect(lease.isValid)

            try frozen.send(line: "4 take second semaphore:2 \(path)")
            try await scene.semaphoreChildren(of: "locks") { $0.count == 1 }
            try await next.finish()
            let second = try #require(try await answer(4, of: frozen))
            #expect(try #require(Int64(second)) > lease.fencingToken.rawValue)
            await frozen.kill()
            try await near.finish()
            try await scene.expectFullCapacity(2)
        }
    }
}
