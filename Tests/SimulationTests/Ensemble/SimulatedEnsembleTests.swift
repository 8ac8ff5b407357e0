import Testing
import ZooKeeper
import ZooKeeperSimulator
import ZooKeeperTransport

/// Several servers, of which some are slow, cut off or dead.
@Suite struct SimulatedEnsembleTests {
    @Test func `every server has what was written through any`() {
        let scene = EnsembleScene(servers: 3)
        let clients = (0..<3).map { scene.client(on: $0) }
        for (index, client) in clients.enumerated() {
            #expect(client.create("/n\(index)").code == 0)
            #expect(client.call(.getData(path: "/n\(index)", watch: false)).code == 0)
        }
        scene.run(.seconds(1))
        for server in 0..<3 {
            for index in 0..<3 { #expect(scene.ensemble.node("/n\(index)", on: server)?.stat.version == 0) }
        }
        #expect(scene.ensemble.transactions == 6)
    }

    @Test func `a write is answered by a quorum only`() {
        let scene = EnsembleScene(servers: 3)
        let client = scene.client(on: scene.leader)
        scene.ensemble.stop(scene.followers[0])
        #expect(client.create("/with-two").code == 0)
        let alone = scene.leader
        scene.ensemble.stop(scene.followers[1])
        let number = client.send(.create(path: "/alone", data: [], mode: .persistent, acl: .anybody))
        scene.run(.milliseconds(100))
        #expect(client.replies[number] == nil)
        #expect(scene.ensemble.node("/alone") == nil)
        // It notices that its followers are gone, and drops its clients.
        scene.run(.seconds(3))
        #expect(client.isLost)
        #expect(!scene.ensemble.isServing(alone))
    }

    @Test func `a follower cut from its leader answers reads after the session has ended`() {
        let scene = EnsembleScene(servers: 3) { $0.syncLimit = 12 }
        let cut = scene.followers[0]
        let client = scene.client(on: cut, timeout: 4000)
        client.create("/lead", .ephemeral)
        let other = scene.client(on: scene.followers[1], timeout: 20_000)
        other.call(.exists(path: "/lead", watch: true))
        scene.ensemble.cut([[cut]])
        let start = scene.simulation.now
        scene.run(until: { !other.events.isEmpty })
        #expect(other.events == [event(.deleted, "/lead")])
        #expect(scene.simulation.now - start <= .milliseconds(5100))
        // The owner still sees its node, for as long as its server has not noticed.
        var last = scene.simulation.now
        while !client.isLost {
            if client.call(.getData(path: "/lead", watch: false)).code == 0 { last = scene.simulation.now }
            scene.run(.milliseconds(50))
        }
        #expect(last - start > .seconds(11) && last - start < .milliseconds(12_100))
        #expect(!scene.ensemble.isServing(cut))
    }

    @Test func `a leader cut from its quorum answers reads and sync while another leads`() {
        let scene = EnsembleScene(servers: 3) { $0.syncLimit = 12 }
        let (old, others) = (scene.leader, scene.followers)
        let client = scene.client(on: old, timeout: 4000)
        client.create("/lead", .ephemeral)
        let start = scene.simulation.now
        scene.ensemble.cut([[old]])
        for server in others {
            scene.ensemble.stop(server)
            scene.ensemble.start(server)
        }
        scene.run(until: { others.contains(scene.leader) })
        let other = scene.client(on: scene.leader, timeout: 20_000)
        other.call(.exists(path: "/lead", watch: true))
        while other.events.isEmpty && !client.isLost {
            client.send(.ping)
            scene.run(.milliseconds(200))
        }
        #expect(other.events == [event(.deleted, "/lead")])
        #expect(scene.ensemble.isServing(old))
        #expect(client.call(.getData(path: "/lead", watch: false)).code == 0)
        #expect(client.call(.sync(path: "/")).code == 0)
        let check = client.send(.multi([.check(path: "/lead", version: -1)]))
        scene.run(until: { client.isLost })
        #expect(client.replies[check] == nil)
        let end = scene.simulation.now - start
        #expect(end > .seconds(11) && end < .milliseconds(14_100))
    }

    @Test func `a follower that lags answers what was, until it is asked to sync`() {
        let scene = EnsembleScene(servers: 3)
        let slow = scene.followers[0]
        let (writer, reader) = (scene.client(on: scene.leader), scene.client(on: slow))
        writer.create("/a", data: [1])
        scene.run(.milliseconds(100))
        scene.ensemble.setLag(slow, Latency(usual: .milliseconds(500) ... .milliseconds(500)))
        writer.call(.setData(path: "/a", data: [2], version: -1))
        #expect(reader.call(.getData(path: "/a", watch: false)).data == [1])
        #expect(reader.call(.sync(path: "/a")).code == 0)
        #expect(reader.call(.getData(path: "/a", watch: false)).data == [2])
    }

    @Test func `a read waits for the session's own earlier write`() {
        let scene = EnsembleScene(servers: 3)
        let slow = scene.followers[0]
        let client = scene.client(on: slow)
        scene.ensemble.setLag(slow, Latency(usual: .milliseconds(200) ... .milliseconds(200)))
        client.send(.create(path: "/a", data: [1], mode: .persistent, acl: .anybody))
        let read = client.send(.getData(path: "/a", watch: false))
        scene.run(.seconds(1))
        #expect(client.heard == [.reply(1), .reply(read)])
        #expect(client.replies[read]?.data == [1])
    }

    @Test func `activity on a follower reaches the leader with its pings`() {
        let scene = EnsembleScene(servers: 3)
        let client = scene.client(on: scene.followers[0], timeout: 2000)
        for _ in 0..<30 {
            client.call(.exists(path: "/", watch: false))
            scene.run(.milliseconds(700))
        }
        #expect(!client.isLost)
        #expect(scene.ensemble.sessions == [client.session])
        let silent = scene.simulation.now
        scene.run(until: { scene.ensemble.sessions.isEmpty })
        // Half a tick until the leader hears of the last request, and a tick for the boundary.
        let span = scene.simulation.now - silent
        #expect(span > .milliseconds(1300) && span < .milliseconds(3600))
    }

    @Test func `a request from where the session was before is not executed`() {
        let scene = EnsembleScene(servers: 3)
        let (first, second) = (scene.followers[0], scene.followers[1])
        let client = scene.client(on: first)
        let again = scene.client(on: second, resuming: client)
        #expect(again.session == client.session)
        #expect(client.create("/from-before").code == -4)
        #expect(scene.ensemble.node("/from-before") == nil)
        #expect(again.create("/from-now").code == 0)
    }

    @Test func `a session unknown to the leader is refused by a follower`() {
        let scene = EnsembleScene(servers: 3)
        let client = scene.client(on: scene.followers[0])
        scene.ensemble.expire(client.session)
        scene.run(.milliseconds(100))
        #expect(client.isLost)
        #expect(scene.client(on: scene.followers[1], resuming: client).heard == [.refused])
    }

    @Test func `what a majority has logged survives its leader`() {
        let scene = EnsembleScene(servers: 3)
        let old = scene.leader
        let client = scene.client(on: old)
        // Proposals arrive, acknowledgements do not: nothing is answered.
        let number = client.send(.create(path: "/logged", data: [], mode: .persistent, acl: .anybody))
        scene.run(until: { scene.ensemble.transactions == 2 })
        scene.run(.milliseconds(1))
        scene.ensemble.stop(old)
        scene.run(until: { scene.ensemble.leader != nil })
        #expect(client.replies[number] == nil || client.replies[number]?.code == 0)
        #expect(scene.ensemble.node("/logged") != nil)
    }

    @Test func `what only the old leader has logged is forgotten`() {
        let scene = EnsembleScene(servers: 3)
        let (old, others) = (scene.leader, scene.followers)
        let client = scene.client(on: old, timeout: 20_000)
        client.create("/before")
        scene.ensemble.cut([[old]])
        let number = client.send(.create(path: "/lost", data: [], mode: .persistent, acl: .anybody))
        scene.run(until: { others.contains(scene.leader) })
        let other = scene.client(on: scene.leader)
        other.create("/after")
        scene.ensemble.heal()
        scene.run(until: { scene.ensemble.node("/after", on: old) != nil && scene.ensemble.isServing(old) })
        #expect(client.isLost)
        #expect(client.replies[number] == nil)
        for server in 0..<3 {
            #expect(scene.ensemble.node("/before", on: server) != nil)
            #expect(scene.ensemble.node("/lost", on: server) == nil)
            #expect(scene.ensemble.node("/after", on: server) != nil)
        }
    }

    @Test func `a new leader gives every session its full timeout`() {
        let scene = EnsembleScene(servers: 3)
        let client = scene.client(on: scene.followers[0], timeout: 6000)
        client.create("/e", .ephemeral)
        scene.run(.seconds(4))
        scene.ensemble.stop(scene.leader)
        scene.run(until: { scene.ensemble.leader != nil })
        let start = scene.simulation.now
        scene.run(until: { scene.ensemble.node("/e") == nil })
        let span = scene.simulation.now - start
        #expect(span > .seconds(6) && span <= .milliseconds(7100))
        #expect(scene.ensemble.elections == 2)
    }

    @Test func `five servers go on with three`() {
        let scene = EnsembleScene(servers: 5)
        let client = scene.client(on: scene.leader)
        for server in scene.followers.prefix(2) { scene.ensemble.stop(server) }
        #expect(client.create("/a").code == 0)
        let old = scene.leader
        scene.ensemble.stop(old)
        scene.run(.seconds(5))
        #expect(scene.ensemble.leader == nil)
        scene.ensemble.start(old)
        scene.run(until: { scene.ensemble.leader != nil })
        #expect(scene.ensemble.node("/a") != nil)
    }

    @Test func `a sequence counter can be set`() {
        let scene = EnsembleScene(servers: 3)
        let client = scene.client(on: scene.followers[0])
        client.create("/q")
        scene.ensemble.setSequence(of: "/q", to: .max)
        #expect(client.create("/q/n-", .ephemeralSequential).path == "/q/n-2147483647")
        #expect(client.create("/q/n-", .ephemeralSequential).code == -110)
    }

    @Test func `a server without a leader takes no client`() {
        let scene = EnsembleScene(servers: 3)
        let left = scene.followers[0]
        for server in 0..<3 where server != left { scene.ensemble.stop(server) }
        scene.run(.seconds(10))
        let client = RawClient("late", in: scene)
        client.connect(to: left, resuming: nil, timeout: 4000)
        scene.run(.seconds(1))
        #expect(client.isLost && !client.isConnected)
    }
}
