import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// Sections 1.1, 1.3 and 1.4: who leads, until when, and what ends a term.
extension HazardTests {
    @Test func `H06 after an outage longer than sessions at most one leads, by a candidate of its present session`()
        async throws
    {
        try await LeaderScene.with(sessionTimeout: .seconds(2)) { scene in
            let (crossing, grants) = (Crossing(), Notes())
            func lead(_ client: ZooKeeperClient) -> @Sendable (Term) async throws -> Void {
                { term in
                    try await crossing.stay {
                        let first = try #require(try await scene.candidates().first)
                        let stat = try await scene.other.exists(at: scene.path(first))
                        #expect(stat?.ephemeralOwner == client.session?.id)
                        #expect(term.isValid)
                        grants.add("\(term.fencingToken)")
                        if grants.all.count == 1 { try await OneShot<Void>().wait() }
                    }
                }
            }
            let one = try scene.near("one", lead: lead(scene.client))
            let term = try await one.leads()
            await grants.count(1)
            let two = try scene.far("two", lead: lead(scene.other))
            await two.waits()
            await scene.server.stop()
            #expect(try await term.waitUntilLost() == .deadlinePassed)
            #expect(!one.selector.isLeader && !two.selector.isLeader)
            // The rest of the timeout, and more, is spent on the start.
            try await scene.server.start()
            await grants.count(5)
            let tokens = grants.all.compactMap { Int64($0) }
            #expect(tokens == tokens.sorted() && Set(tokens).count == tokens.count)
            #expect(crossing.meetings == 0)
            try await one.stop()
            try await two.stop()
        }
    }

    @Test func `H37 with the server down at the start a participant leads once it is up`() async throws {
        try await withTestServer { server in
            let proxy = try FaultProxy(to: server)
            await proxy.refuse()
            let configuration = try ZooKeeperClientConfiguration(connectionString: proxy.connectionString)
            try await withZooKeeperClient(configuration: configuration) { client in
                let one = try Contestant(client: client, id: "one")
                #expect(one.selector.state == .waiting(position: nil))
                await proxy.accept()
                try await one.leads()
                try await one.stop()
            }
            await proxy.close()
        }
    }

    @Test func `H38 a closure that fails at once is run again after pauses that grow`() async throws {
        struct Broken: Error {}
        try await LeaderScene.with { scene in
            var configuration = LeaderConfiguration()
            configuration.initialRetryDelay = .milliseconds(20)
            configuration.maximumRetryDelay = .milliseconds(160)
            let one = try scene.near("one", configuration) { _ in throw Broken() }
            var pauses: [Duration] = []
            for await state in one.selector.states {
                guard let failure = state.failure else { continue }
                #expect(failure.reason.contains("Broken") && !failure.isUnauthorized)
                pauses.append(failure.retryDelay)
                if pauses.count == 6 { break }
            }
            let longest: [Duration] = [20, 40, 80, 160, 160, 160].map { .milliseconds($0) }
            for (pause, longest) in zip(pauses, longest) { #expect(pause >= longest / 2 && pause <= longest) }
            try await one.stop()
        }
    }

    @Test func `H39 what ends one term does not touch the next one`() async throws {
        try await LeaderScene.with { scene in
            let one = try scene.near()
            let first = try await one.leads()
            for number in 1...20 {
                // In the instant of the grant, and twice.
                let term = try await one.leads(term: number)
                term.resign()
                term.resign()
            }
            let last = try await one.leads(term: 21)
            first.resign()
            let late = await #expect(throws: RecipeError.self) { try await first.transaction([.check("/")]) }
            #expect(late != nil)
            _ = try await last.transaction([.check("/")])
            #expect(last.isValid && one.selector.term === last)
            try await one.stop()
        }
    }

    @Test func `H40 a stop awaits the closure, then the candidate's deletion`() async throws {
        try await LeaderScene.with { scene in
            let (cancelled, goOn) = (OneShot<Void>(), OneShot<Void>())
            let one = try scene.near("one") { _ in
                try? await OneShot<Void>().wait()
                cancelled.set(())
                await withCheckedContinuation { continuation in goOn.observe { continuation.resume() } }
            }
            let term = try await one.leads()
            one.task.cancel()
            try await cancelled.wait()
            #expect(try await scene.candidates().count == 1)
            #expect(term.isValid)
            goOn.set(())
            try await one.task.value
            #expect(try await scene.candidates().isEmpty)
            #expect(!term.isValid && one.selector.state == .stopped)
        }
    }

    @Test func `H41 without the right to stand a participant says so, and leads once it has it`() async throws {
        try await LeaderScene.with { scene in
            try await scene.other.create("/app")
            try await scene.other.create(LeaderScene.path, acl: [.readUnsafe, .administered])
            var configuration = LeaderConfiguration()
            configuration.initialRetryDelay = .milliseconds(20)
            configuration.maximumRetryDelay = .milliseconds(100)
            let one = try scene.near("one", configuration)
            var seen: ElectionFailure?
            for await state in one.selector.states {
                seen = state.failure
                if seen != nil { break }
            }
            #expect(seen?.isUnauthorized == true && seen?.reason.contains("noAuth") == true)
            try await scene.other.setACL([.openUnsafe], at: LeaderScene.path)
            try await one.leads()
            try await one.stop()
        }
    }

    @Test func `H47 whoever follows the states may close what it follows`() async throws {
        try await LeaderScene.with { scene in
            let latch = try LeaderLatch(client: scene.client, path: LeaderScene.path, id: "one")
            let running = Task { try await latch.run() }
            var seen: [LeaderState] = []
            for await state in latch.states {
                seen.append(state)
                if state.isLeading { try await latch.close(.notifyLeader) }
            }
            #expect(seen.last == .stopped)
            #expect(seen.count { $0.isLeading } == 1)
            try await running.value
            #expect(try await scene.candidates().isEmpty)
        }
    }
}
