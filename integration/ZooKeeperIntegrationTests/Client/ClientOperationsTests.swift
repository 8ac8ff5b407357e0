import Testing
import ZooKeeper
import ZooKeeperTestKit

@Suite(.serialized, .timeLimit(.minutes(3)))
struct ClientOperationsTests {
    @Test func `a znode is created, read, written and deleted`() async throws {
        try await ClientScene.with { scene in
            let client = scene.client
            let created = try await client.create("/a", data: [1, 2])
            #expect(created.path == "/a")
            #expect(created.stat.dataLength == 2)
            let read = try await client.data(at: "/a")
            #expect(read.data == [1, 2])
            #expect(read.stat == created.stat)
            let written = try await client.setData([3], at: "/a", version: 0)
            #expect(written.dataVersion == 1)
            let (names, stat) = try await client.children(of: "/")
            #expect(names.contains("a"))
            #expect(stat.childrenCount == names.count)
            try await client.sync("/a")
            try await client.delete("/a", version: 1)
            #expect(try await client.exists(at: "/a") == nil)
        }
    }

    @Test func `each create mode makes what it says`() async throws {
        try await ClientScene.with { scene in
            let client = scene.client
            let session = try await client.connectedSession()
            #expect(try await client.create("/persistent").stat.ephemeralOwner == nil)
            #expect(try await client.create("/ephemeral", mode: .ephemeral).stat.ephemeralOwner == session.id)
            #expect(try await client.create("/s-", mode: .persistentSequential).path == "/s-0000000002")
            let sequential = try await client.create("/e-", mode: .ephemeralSequential)
            #expect(sequential.path == "/e-0000000003")
            #expect(sequential.stat.ephemeralOwner == session.id)
            #expect(try await client.create("/container", mode: .container).stat.ephemeralOwner == nil)
            #expect(try await client.create("/ttl", mode: .persistent(timeToLive: .seconds(60))).path == "/ttl")
            let both = try await client.create("/t-", mode: .persistentSequential(timeToLive: .seconds(60)))
            #expect(both.path == "/t-0000000006")
            #expect(both.stat.ephemeralOwner == nil)
        }
    }

    @Test func `errors name their code and the path`() async throws {
        try await ClientScene.with { scene in
            let client = scene.client
            try await client.create("/a", data: [1])
            try await client.create("/a/b")
            try await client.create("/e", mode: .ephemeral)
            let errors: [(ZooKeeperError?, ZooKeeperError.Code, String)] = [
                (await zooKeeperError { try await client.create("/a") }, .nodeExists, "/a"),
                (await zooKeeperError { try await client.create("/x/y") }, .noNode, "/x/y"),
                (await zooKeeperError { try await client.create("/e/y") }, .noChildrenForEphemerals, "/e/y"),
                (await zooKeeperError { try await client.data(at: "/x") }, .noNode, "/x"),
                (await zooKeeperError { try await client.children(of: "/x") }, .noNode, "/x"),
                (await zooKeeperError { try await client.setData([], at: "/a", version: 5) }, .badVersion, "/a"),
                (await zooKeeperError { try await client.delete("/a") }, .notEmpty, "/a"),
                (await zooKeeperError { try await client.delete("/a/b", version: 9) }, .badVersion, "/a/b"),
                (await zooKeeperError { try await client.create("/l", acl: []) }, .invalidACL, "/l"),
            ]
            for (error, code, path) in errors {
                #expect(error?.code == code)
                #expect(error?.path == path)
                #expect(error?.isOutcomeUnknown == false)
            }
        }
    }

    @Test func `missing parents are created as containers, or persistent as configured`() async throws {
        try await ClientScene.with { scene in
            let client = scene.client
            let created = try await client.create("/p/q/r", data: [1], parents: true)
            #expect(created.path == "/p/q/r")
            try await client.create("/p/q/s-", mode: .persistentSequential, parents: true)
            let names = try await client.children(of: "/p/q").names
            #expect(names.sorted() == ["r", "s-0000000001"])
        }
        try await ClientScene.with(configure: { $0.usesContainerParents = false }) { scene in
            try await scene.client.create("/p/q/r", parents: true)
            #expect(try await scene.client.exists(at: "/p/q") != nil)
        }
    }

    @Test func `a chroot is the root of all paths, and is named when it is missing`() async throws {
        try await ClientScene.with(configure: { $0.chroot = try? ZNodePath("/app/one") }) { scene in
            let missing = await zooKeeperError { try await scene.client.create("/a", parents: true) }
            #expect(missing?.code == .noNode)
            #expect(missing?.path == "/app/one")
            try await scene.other.create("/app/one", parents: true)
            #expect(try await scene.client.create("/a", data: [1], parents: true).path == "/a")
            #expect(try await scene.other.data(at: "/app/one/a").data == [1])
            #expect(try await scene.client.children(of: "/").names == ["a"])
            let (_, _, watch) = try await scene.client.watchData(at: "/a")
            try await scene.other.setData([2], at: "/app/one/a")
            #expect(try await watch.event().path == "/a")
            #expect(try await scene.client.transaction([.create("/b")])[0].path == "/b")
            #expect(try await scene.client.ensembleConfiguration().stat.czxid.rawValue >= 0)
        }
    }

    @Test func `sequential znodes of the root are numbered inside the chroot`() async throws {
        try await ClientScene.with(configure: { $0.chroot = try? ZNodePath("/ch") }) { scene in
            try await scene.other.create("/ch/a", parents: true)
            let client = scene.client
            #expect(try await client.create("/", mode: .ephemeralSequential).path == "/0000000001")
            #expect(try await client.create("/a/", mode: .persistentSequential).path == "/a/0000000000")
            let results = try await client.transaction([
                .create("/", mode: .persistentSequential), .create("/a/", mode: .ephemeralSequential),
            ])
            #expect(results.map(\.path) == ["/0000000002", "/a/0000000001"])
            #expect(try await scene.other.exists(at: "/ch/0000000001") != nil)
            #expect(try await Set(client.children(of: "/").names) == ["a", "0000000001", "0000000002"])
            #expect(try await Set(scene.other.children(of: "/").names) == ["zookeeper", "ch"])
            // What is asked of the root is asked of the chroot, and told of the root.
            try await client.sync("/")
            let (_, _, watch) = try await client.watchChildren(of: "/")
            try await client.delete("/0000000002")
            let event = try await watch.event()
            #expect(event.path == "/" && event.kind == .childrenChanged)
        }
    }

    @Test func `a transaction happens as a whole, or its failing operation is named`() async throws {
        try await ClientScene.with { scene in
            let client = scene.client
            let results = try await client.transaction([
                .create("/a", data: [1]), .create("/a/s-", mode: .ephemeralSequential), .setData([2], at: "/a"),
                .check("/a", version: 1),
            ])
            #expect(results.map(\.path) == ["/a", "/a/s-0000000000", nil, nil])
            #expect(results[2].stat?.dataVersion == 1)
            let error = await zooKeeperError {
                try await client.transaction([.create("/b"), .check("/a", version: 7), .delete("/a")])
            }
            #expect(error?.code == .badVersion)
            #expect(error?.failedOperation == 1)
            #expect(error?.path == "/a")
            #expect(try await client.exists(at: "/b") == nil)
            let container = await zooKeeperError { try await client.transaction([.create("/c", mode: .container)]) }
            #expect(container?.code == .invalidArgument)
            #expect(container?.failedOperation == 0)
            #expect(await zooKeeperError { try await client.transaction([]) }?.code == .invalidArgument)
        }
    }

    @Test func `five hundred znodes are deleted recursively`() async throws {
        try await ClientScene.with { scene in
            let client = scene.client
            try await client.create("/tree")
            for branch in 0..<5 {
                try await client.create("/tree/\(branch)")
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for leaf in 0..<99 { group.addTask { try await client.create("/tree/\(branch)/\(leaf)") } }
                    try await group.waitForAll()
                }
            }
            try await client.deleteRecursively("/tree")
            #expect(try await client.exists(at: "/tree") == nil)
            try await client.deleteRecursively("/tree")
            #expect(await zooKeeperError { try await client.deleteRecursively("/") }?.code == .invalidArgument)
        }
    }

    @Test func `access control lists are read and set, and credentials open what they close`() async throws {
        try await ClientScene.with { scene in
            try await scene.client.addAuth(.digest(user: "me", password: "secret"))
            try await scene.client.create("/mine", data: [1], acl: [.creatorAll])
            let (acl, stat) = try await scene.client.acl(at: "/mine")
            #expect(acl.map(\.scheme) == ["digest"])
            #expect(stat.aclVersion == 0)
            #expect(await zooKeeperError { try await scene.other.data(at: "/mine") }?.code == .noAuth)
            #expect(await zooKeeperError { try await scene.other.setACL([.openUnsafe], at: "/mine") }?.code == .noAuth)
            let old = await zooKeeperError { try await scene.client.setACL([.openUnsafe], at: "/mine", version: 3) }
            #expect(old?.code == .badVersion)
            // Credentials are presented again on the next connection.
            await scene.proxy.cut()
            #expect(try await scene.client.data(at: "/mine").data == [1])
            try await scene.client.setACL([.readUnsafe], at: "/mine", version: 0)
            #expect(try await scene.other.data(at: "/mine").data == [1])
        }
    }

    @Test func `a thousand cancelled requests return at once, and the session goes on`() async throws {
        try await ClientScene.with { scene in
            try await scene.client.create("/a")
            await scene.proxy.hold(.toClient)
            for _ in 0..<1000 {
                let reading = Task { try await scene.client.data(at: "/a") }
                reading.cancel()
                await #expect(throws: CancellationError.self) { try await reading.value }
            }
            await scene.proxy.release()
            #expect(try await scene.client.exists(at: "/a") != nil)
            #expect(scene.client.session?.epoch == 1)
        }
    }

    @Test func `more requests than fit in flight are all answered`() async throws {
        try await ClientScene.with(configure: { $0.maximumRequestsInFlight = 3 }) { scene in
            try await scene.client.create("/a", data: [7])
            try await withThrowingTaskGroup(of: [UInt8].self) { group in
                for _ in 0..<2000 { group.addTask { try await scene.client.data(at: "/a").data } }
                var count = 0
                for try await data in group where data == [7] { count += 1 }
                #expect(count == 2000)
            }
        }
    }
}
