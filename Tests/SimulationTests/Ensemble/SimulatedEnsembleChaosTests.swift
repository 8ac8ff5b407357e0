import Testing
import ZooKeeper
import ZooKeeperSimulator
import ZooKeeperTransport

/// Clients that write and read while servers die, lag and are cut off.
@Suite struct SimulatedEnsembleChaosTests {
    @Test(arguments: [1, 3, 5]) func `what was answered stands on every server in the end`(servers: Int) {
        for seed in 1...UInt64(servers == 1 ? 100 : 150) {
            let chaos = Chaos(servers: servers, seed: seed)
            let wrong = chaos.run()
            #expect(wrong == [], "seed \(seed)")
            if !wrong.isEmpty { return }
        }
    }
}

/// One schedule.
private final class Chaos {
    private let scene: EnsembleScene
    private var chance: Chance
    private var users: [User] = []
    private var down: Set<Int> = []

    private final class User {
        var client: RawClient
        /// What the answers to creates promise.
        var promised: [Int: String] = [:]
        var created = 0
        var isAwaiting = false

        init(_ client: RawClient) { self.client = client }
    }

    init(servers: Int, seed: UInt64) {
        scene = EnsembleScene(servers: servers, seed: seed) {
            $0.syncLimit = 4
            $0.containerLife = .zero ... .seconds(5)
            $0.peerLatency = Latency(slowOnceIn: 20, slow: .milliseconds(1) ... .milliseconds(800))
        }
        chance = Chance(seed: seed)
    }

    /// What was found wrong.
    func run() -> [String] {
        users = (0..<4).map { User(scene.client(on: $0 % scene.ensemble.settings.servers)) }
        for _ in 0..<150 {
            step()
            scene.run(chance.duration(.zero ... .milliseconds(200)))
        }
        for server in down { scene.ensemble.start(server) }
        scene.ensemble.heal()
        for server in 0..<scene.ensemble.settings.servers { scene.ensemble.setLag(server, nil) }
        scene.run(.seconds(20))
        return differences() + brokenPromises() + strayEphemerals()
    }

    private func step() {
        let user = chance.pick(users)
        if user.client.isLost { return reconnect(user) }
        switch chance.below(20) {
        case 0: fault()
        case 1...3: user.client.send(.sync(path: "/"))
        case 4...5: user.client.send(.ping)
        case 6...8: user.client.send(.getChildren(path: "/", watch: true))
        case 9: user.client.send(.delete(path: "/u\(chance.below(4))-\(chance.below(10))", version: -1))
        case 10: create(user, "/box", .container)
        case 11...12: create(user, "/box/n-", .ephemeralSequential)
        case 13:
            user.client.send(
                .multi([transactionPart("/t"), transactionPart("/t/t"), .delete(path: "/t", version: -1)]))
        default:
            user.created += 1
            let owner = users.firstIndex { $0 === user } ?? 0
            create(user, "/k\(owner)-\(user.created)", .persistent)
        }
    }

    private func transactionPart(_ path: String) -> TransportOperation {
        .create(path: path, data: [], mode: .persistent, acl: .anybody)
    }

    private func create(_ user: User, _ path: String, _ mode: TransportCreateMode) {
        let number = user.client.send(.create(path: path, data: [], mode: mode, acl: .anybody))
        if mode == .persistent { user.promised[number] = path }
    }

    private func reconnect(_ user: User) {
        keepPromises(user)
        let server = chance.below(scene.ensemble.settings.servers)
        let isGone = user.client.heard.contains(.refused)
        let next = RawClient("again", in: scene)
        next.connect(to: server, resuming: isGone ? nil : user.client, timeout: 4000)
        next.remember(user.client)
        user.client = next
    }

    private var kept: [String] = []

    private func keepPromises(_ user: User) {
        for (number, reply) in user.client.replies where reply.code == 0 {
            if let path = user.promised[number] { kept.append(path) }
        }
        user.promised = [:]
    }

    private func fault() {
        let count = scene.ensemble.settings.servers
        let server = chance.below(count)
        switch chance.below(6) {
        case 0:
            scene.ensemble.stop(server)
            down.insert(server)
        case 1:
            for server in down.sorted() { scene.ensemble.start(server) }
            down = []
        case 2: scene.ensemble.cut([[server]])
        case 3: scene.ensemble.heal()
        case 4: scene.ensemble.setLag(server, Latency(usual: .zero...chance.duration(.zero ... .seconds(2))))
        default: scene.ensemble.resetConnections(of: server)
        }
    }

    // MARK: In the end

    private func differences() -> [String] {
        let first = scene.ensemble.tree(of: 0)
        var found: [String] = scene.ensemble.leader == nil ? ["no leader"] : []
        for server in 1..<max(1, scene.ensemble.settings.servers) where server < scene.ensemble.settings.servers {
            let other = scene.ensemble.tree(of: server)
            if first.paths != other.paths { found.append("other nodes on \(server)") }
            if first.sessions != other.sessions { found.append("other sessions on \(server)") }
            for path in first.paths where first.stat(of: path) != other.stat(of: path) {
                found.append("\(path) differs on \(server)")
            }
        }
        return found
    }

    private func brokenPromises() -> [String] {
        for user in users { keepPromises(user) }
        return kept.filter { scene.ensemble.node($0) == nil }.map { "\($0) is lost" }
            + users.filter(\.client.wentBack).map { _ in "a client saw time go back, or answers out of their turn" }
    }

    private func strayEphemerals() -> [String] {
        let tree = scene.ensemble.tree(of: 0)
        return tree.paths.filter { path in
            guard let owner = tree.stat(of: path)?.ephemeralOwner, owner != 0 else { return false }
            return !tree.sessions.contains(owner)
        }
    }
}
