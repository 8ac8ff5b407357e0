import Logging
import ServiceLifecycle
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

@Suite(.serialized, .timeLimit(.minutes(3)))
struct GroupMembershipTests {
    private static let path = "/app/members"

    /// A membership that runs until it is told to end.
    private struct Running {
        let membership: GroupMembership
        let task: Task<Void, any Error>

        init(
            _ id: String, data: [UInt8] = [], client: ZooKeeperClient,
            change: (inout GroupMembership.Configuration) -> Void = { _ in }
        ) throws {
            var configuration = GroupMembership.Configuration(client: client)
            change(&configuration)
            let membership = try GroupMembership(
                client: client, path: path, id: id, data: data, configuration: configuration)
            self.membership = membership
            task = Task { try await membership.run() }
        }

        func end() async throws {
            task.cancel()
            try await task.value
        }
    }

    @Test func `members see one another with their data, and who leaves is gone`() async throws {
        try await CacheScene.with { scene in
            let near = try Running("near", data: [1], client: scene.client)
            let far = try Running("far", data: [2], client: scene.other)
            for running in [near, far] {
                let members = await running.membership.members { $0.isLive && $0.count == 2 }
                #expect(members.sorted.map(\.id) == ["far", "near"])
                #expect(members["near"]?.data == [1] && members["far"]?.data == [2])
                #expect(members.filter(\.isSelf).map(\.id) == [running.membership.id])
            }
            near.membership.setData([7])
            await far.membership.members { $0["near"]?.data == [7] }
            try await near.end()
            await far.membership.members { $0.isLive && $0.sorted.map(\.id) == ["far"] }
            try await far.end()
        }
    }

    @Test func `who is not really there does not list itself`() async throws {
        try await CacheScene.with { scene in
            await scene.proxy.drop(.toServer)
            let near = try Running("near", client: scene.client)
            let before = (near.membership.current.count, near.membership.current.isKnown)
            #expect(before == (0, false))
            await scene.proxy.release()
            await scene.proxy.cut()
            await near.membership.members { $0["near"]?.isSelf == true }
            try await scene.server.expireSession(of: scene.client)
            await scene.client.state { $0.isConnected && $0.session?.epoch == 2 }
            await near.membership.members { $0["near"]?.isSelf == true }
            #expect(scene.client.session?.epoch == 2)
            try await near.end()
        }
    }

    @Test func `a duplicate is refused with an error that names who it is, and harms nobody`() async throws {
        try await CacheScene.with { scene in
            let first = try Running("one", data: Array("host a".utf8), client: scene.other)
            try await first.membership.waitUntilJoined()
            let second = try Running("one", data: Array("host b".utf8), client: scene.client) {
                $0.duplicateTimeout = .milliseconds(200)
            }
            do {
                try await second.task.value
                Issue.record("the duplicate was not refused")
            } catch let error as RecipeError {
                #expect(error.code == .duplicate)
                #expect(error.occupant?.stat.ephemeralOwner == scene.other.session?.id)
                #expect(error.description.contains("host a"))
            }
            #expect(first.membership.node.state.isPresent)
            #expect(try await scene.client.data(at: "\(Self.path)/one").data == Array("host a".utf8))
            try await first.end()
        }
    }

    @Test func `a member that starts again outwaits its earlier life, or replaces it at once when told to`()
        async throws
    {
        try await CacheScene.with { scene in
            try await scene.other.create("\(Self.path)/one", data: [1], mode: .ephemeral, parents: true)
            let waiting = try Running("one", data: [2], client: scene.client)
            _ = await waiting.membership.node.state { if case .occupied = $0 { true } else { false } }
            try await scene.other.delete("\(Self.path)/one")
            try await waiting.membership.waitUntilJoined()
            try await waiting.end()

            try await scene.other.create("\(Self.path)/one", data: [1], mode: .ephemeral, parents: true)
            let replacing = try Running("one", data: [2], client: scene.client) {
                $0.isPreviousIncarnation = { _ in true }
            }
            try await replacing.membership.waitUntilJoined()
            try await replacing.end()
        }
    }

    @Test func `an observer sees the members and is not one`() async throws {
        try await CacheScene.with { scene in
            let member = try Running("one", data: [1], client: scene.other)
            let observer = try GroupObserver(client: scene.client, path: Self.path)
            let task = Task { try await observer.run() }
            for await members in observer.changes where members.isLive && members.count == 1 {
                #expect(members["one"]?.isSelf == false)
                break
            }
            try await member.end()
            for await members in observer.changes where members.isLive && members.isEmpty { break }
            task.cancel()
            _ = await task.result
        }
    }

    @Test func `a membership and an observer run as long as their operations`() async throws {
        try await CacheScene.with { scene in
            try await withGroupMembership(client: scene.client, path: Self.path, id: "one", data: [1]) { membership in
                #expect(membership.node.state.isPresent)
                try await withGroupObserver(client: scene.other, path: Self.path) { observer in
                    for await members in observer.changes where members.isLive && members.count == 1 {
                        #expect(members["one"]?.data == [1])
                        break
                    }
                }
            }
            #expect(try await scene.other.exists(at: "\(Self.path)/one") == nil)
        }
    }

    @Test func `an operation does not start in a group where its member is a duplicate`() async throws {
        try await CacheScene.with { scene in
            try await scene.other.create("\(Self.path)/one", data: [1], mode: .ephemeral, parents: true)
            var changed = GroupMembership.Configuration(client: scene.client)
            changed.duplicateTimeout = .milliseconds(200)
            let configuration = changed
            let error = await #expect(throws: RecipeError.self) {
                try await withGroupMembership(
                    client: scene.client, path: Self.path, id: "one", configuration: configuration
                ) { _ in Issue.record("the operation has started") }
            }
            #expect(error?.code == .duplicate)
            #expect(try await scene.other.data(at: "\(Self.path)/one").data == [1])
        }
    }

    @Test func `a restart of the server and lost connections leave the group as it was`() async throws {
        try await CacheScene.with(sessionTimeout: .seconds(20)) { scene in
            let near = try Running("near", client: scene.client)
            let far = try Running("far", client: scene.other)
            for round in 0..<3 {
                await near.membership.members { $0.isLive && $0.count == 2 }
                let before = scene.proxy.counters.connections
                if round == 0 { try await scene.server.restart() } else { await scene.proxy.cut() }
                try await scene.proxy.waitUntil { $0.connections > before }
            }
            let members = await near.membership.members { $0.isLive && $0.count == 2 }
            #expect(members["near"]?.isSelf == true)
            try await near.end()
            try await far.end()
        }
    }

    @Test func `graceful shutdown leaves the group`() async throws {
        try await CacheScene.with { scene in
            let membership = try GroupMembership(client: scene.client, path: Self.path, id: "one")
            let group = ServiceGroup(
                configuration: .init(services: [.init(service: membership)], logger: .init(label: "test")))
            async let run: Void = group.run()
            try await membership.waitUntilJoined()
            await group.triggerGracefulShutdown()
            try await run
            #expect(try await scene.other.exists(at: "\(Self.path)/one") == nil)
        }
    }
}

extension GroupMembership {
    /// The first members, from the present ones on, that satisfy a condition.
    @discardableResult
    func members(where matches: (GroupMembers) -> Bool) async -> GroupMembers {
        for await members in changes where matches(members) { return members }
        return current
    }
}
