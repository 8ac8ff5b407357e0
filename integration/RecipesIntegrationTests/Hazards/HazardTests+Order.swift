import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// Section 1.2: names, numbers, who waits for whom.
extension HazardTests {
    @Test(arguments: [ContenderName.firstRefusedNumber - 1, Int32.max - 1] as [Int32])
    func `H14 near the end of the counter nobody joins, and nothing stays behind`(number: Int32) async throws {
        try await LockScene.with(sessionTimeout: .seconds(20), configuration: .init()) { scene in
            try await scene.other.create(LockScene.path, parents: true)
            // With its start the server writes a snapshot.
            try await scene.server.restart()
            await scene.server.stop()
            try ServerSnapshot(of: scene.server).setChildrenCounter(of: LockScene.path, to: number)
            try await scene.server.start()
            if number < ContenderName.firstRefusedNumber {
                try await scene.lock.withWriteLock { #expect($0.isValid) }
            }
            for lock in [scene.lock, scene.otherLock, scene.lock] {
                let error = await #expect(throws: RecipeError.self) {
                    try await lock.withWriteLock { _ in Issue.record("granted beyond the counter's end") }
                }
                #expect(error?.code == .queueNumbersExhausted)
            }
            try await scene.contenders { $0.isEmpty }
            // An empty directory begins again at 0.
            try await scene.other.delete(LockScene.path)
            try await scene.lock.withWriteLock { #expect($0.isValid) }
        }
    }

    @Test func `H15 the token grows although the numbers begin again`() async throws {
        var configuration = TestServerConfiguration()
        configuration.containerCheckInterval = .milliseconds(100)
        try await LockScene.with(configuration: configuration) { scene in
            var tokens: [FencingToken] = []
            for _ in 0..<3 {
                tokens.append(
                    try await scene.lock.withWriteLock { lease in
                        let numbers = try await scene.contenders().map(\.number)
                        #expect(numbers == [0])
                        return lease.fencingToken
                    })
                // The server removes the empty container, and with it the counter.
                let (stat, watch) = try await scene.other.watchExistence(at: LockScene.path)
                if stat != nil { _ = try await watch.event() }
            }
            #expect(tokens[0] < tokens[1] && tokens[1] < tokens[2])
        }
    }

    @Test func `H16 foreign children neither block nor share a lock`() async throws {
        try await LockScene.with { scene in
            let foreign = ["config", "0-config", "lock-", "x-lock-12", "__WRIT__", "nested"]
            for name in foreign { try await scene.other.create("\(LockScene.path)/\(name)", parents: true) }
            let holder = Holder.writes(scene.lock)
            #expect(try await holder.lease.isValid)
            let nested = try DistributedReadWriteLock(client: scene.other, path: "\(LockScene.path)/nested")
            try await nested.withWriteLock { #expect($0.isValid) }
            let waiter = Holder.writes(scene.otherLock)
            try await scene.contenders { $0.count == 2 }
            #expect(!waiter.isGranted)
            try await holder.finish()
            #expect(try await waiter.lease.isValid)
            try await waiter.finish()
            let left = try await scene.other.children(of: LockScene.path).names
            #expect(left.sorted() == foreign.sorted())
        }
    }

    @Test func `H21 readers wait for the last writer in front, and only its end wakes them`() async throws {
        try await LockScene.with(sessionTimeout: .seconds(20)) { scene in
            var writers: [Holder] = []
            for count in 1...3 {
                writers.append(Holder.writes(scene.otherLock))
                try await scene.contenders { $0.count == count }
            }
            let last = scene.path(try await scene.contenders()[2])
            let readers = (0..<5).map { _ in Holder.reads(scene.lock) }
            for _ in readers { try await scene.proxy.nextRequest { $0.operation == .getData && $0.path == last } }
            _ = try await scene.requests()
            for (index, writer) in writers.enumerated() {
                _ = try await writer.lease
                #expect(try await scene.requests().listings == 0, "woken by writer \(index)")
                #expect(readers.allSatisfy { !$0.isGranted })
                try await writer.finish()
            }
            for reader in readers { _ = try await reader.lease }
            #expect(try await scene.requests().listings == readers.count)
            for reader in readers { try await reader.finish() }
        }
    }

    @Test func `H22 a reader does not wait for a writer that came after it`() async throws {
        try await LockScene.with { scene in
            let first = Holder.writes(scene.otherLock)
            _ = try await first.lease
            let reader = Holder.reads(scene.lock)
            try await scene.contenders { $0.count == 2 }
            let later = Holder.writes(scene.otherLock)
            try await scene.contenders { $0.count == 3 }
            try await first.finish()
            #expect(try await reader.lease.isValid)
            #expect(!later.isGranted)
            try await reader.finish()
            _ = try await later.lease
            try await later.finish()
        }
    }

    @Test(arguments: [false, true])
    func `H23 an own znode that is missing in the listing is created anew`(withDirectory: Bool) async throws {
        try await LockScene.withWaiter { scene, holder, waiter in
            let own = try await scene.contenders()[1]
            let old = try await scene.czxid(of: own)
            await scene.proxy.hold(.toClient)
            try await holder.finish()
            try await scene.other.delete(scene.path(own))
            if withDirectory { try await scene.other.delete(LockScene.path) }
            await scene.proxy.release(.both)
            let lease = try await waiter.lease
            let names = try await scene.contenders()
            #expect(names.count == 1)
            #expect(try await scene.czxid(of: names[0]) == lease.fencingToken.rawValue)
            #expect(lease.fencingToken.rawValue > (old ?? .max))
            try await waiter.finish()
        }
    }

    @Test func `H24 a predecessor that goes between listing and watch makes nobody create anew`() async throws {
        try await LockScene.with(sessionTimeout: .seconds(20)) { scene in
            let holder = Holder.writes(scene.otherLock)
            _ = try await holder.lease
            let frames = scene.proxy.counters.framesToClient
            await scene.proxy.hold(.toClient)
            let first = Holder.writes(scene.lock)
            try await scene.contenders { $0.count == 2 }
            let second = Holder.writes(scene.lock)
            let names = try await scene.contenders { $0.count == 3 }
            // Both have been told who is in front, and do not know it yet.
            try await scene.proxy.waitUntil { $0.framesToClient >= frames + 4 }
            try await holder.finish()
            await scene.proxy.release(.both)
            let token = try await first.lease.fencingToken
            #expect(try await scene.contenders() == Array(names[1...]))
            #expect(try await scene.czxid(of: names[1]) == token.rawValue)
            try await first.finish()
            #expect(try await scene.czxid(of: names[2]) == second.lease.fencingToken.rawValue)
            #expect(try await scene.creations() == 3)
            try await second.finish()
        }
    }

    @Test func `H25 in a queue of twenty thousand only the nearest in front is watched`() async throws {
        var configuration = TestServerConfiguration()
        configuration.heapMegabytes = 512
        try await LockScene.with(sessionTimeout: .seconds(30), configuration: configuration) { scene in
            try await scene.other.create(LockScene.path, parents: true)
            let writer = "\(LockScene.path)/_c_0b6f0f3c-7f2e-4a55-9c43-3a6f6ed5c001-__WRIT__"
            for _ in 0..<40 {
                let operations = Array(
                    repeating: TransactionOperation.create(writer, mode: .persistentSequential), count: 500)
                try await scene.other.transaction(operations)
            }
            let names = try await scene.contenders()
            #expect(names.count == 20_000)
            let waiter = Holder.reads(scene.lock)
            let last = scene.path(names[19_999])
            try await scene.proxy.nextRequest { $0.operation == .getData && $0.path == last }
            _ = try await scene.requests()
            // A watch on the nearest in front, and after a second one on the own znode.
            #expect(try await (1...2).contains(scene.server.counters().watchCount))
            try await scene.other.delete(last)
            let next = scene.path(names[19_998])
            try await scene.proxy.nextRequest { $0.operation == .getData && $0.path == next }
            #expect(try await scene.requests().listings == 0)
            waiter.cancel()
            #expect(await waiter.error() is CancellationError)
        }
    }

    @Test func `H26 a thousand failing tries create nothing`() async throws {
        try await LockScene.with { scene in
            let holder = Holder.reads(scene.otherLock)
            _ = try await holder.lease
            scene.proxy.clearRequests()
            for _ in 0..<1000 {
                let error = await #expect(throws: RecipeError.self) {
                    try await scene.lock.tryWithWriteLock { _ in }
                }
                #expect(error?.code == .notAvailable)
            }
            let requests = try await scene.requests()
            #expect(requests.count == 1000 && requests.allSatisfy { $0 == .getChildrenWithStat })
            try await scene.lock.tryWithReadLock { #expect($0.isValid) }
            try await holder.finish()
            try await scene.lock.tryWithWriteLock { #expect($0.isValid) }
        }
    }
}
