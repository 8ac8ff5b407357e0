import ZooKeeperSimulator
import ZooKeeperTransport

/// Chooses requests on few paths, so that they often meet what others have left there.
struct RequestGenerator {
    var chance: Chance
    let root: String
    private let nodes: [String]

    init(chance: Chance, root: String) {
        self.chance = chance
        self.root = root
        nodes = ["", "/a", "/a/b", "/a/c", "/a/b/c", "/b", "/b/d", "/e", "/e/f", "/q", "/q/x", "/c", "/c/y"].map {
            root + $0
        }
    }

    mutating func next() -> TransportRequest {
        switch chance.below(40) {
        case 0..<9: create()
        case 9..<14: .delete(path: deletedPath(), version: version())
        case 14..<18: .setData(path: ownPath(), data: data(), version: version())
        case 18..<22: .exists(path: path(), watch: chance.oneIn(2))
        case 22..<26: .getData(path: path(), watch: chance.oneIn(2))
        case 26..<30: .getChildren(path: path(), watch: chance.oneIn(2))
        case 30: .getACL(path: path())
        case 31: setACL()
        case 32..<34: .removeWatches(path: path(), kind: chance.oneIn(2) ? .data : .children)
        case 34: .sync(path: path())
        default: .multi((0..<(1 + chance.below(4))).map { _ in operation() })
        }
    }

    /// A read that sets a watch.
    mutating func watch() -> TransportRequest {
        let path = ownPath()
        return switch chance.below(3) {
        case 0: .exists(path: path, watch: true)
        case 1: .getData(path: path, watch: true)
        default: .getChildren(path: path, watch: true)
        }
    }

    private mutating func operation() -> TransportOperation {
        switch chance.below(5) {
        case 0, 1:
            let (path, mode) = creation(inTransaction: true)
            return .create(path: path, data: data(), mode: mode, acl: acl())
        case 2: return .delete(path: deletedPath(), version: version())
        case 3: return .setData(path: ownPath(), data: data(), version: version())
        default: return .check(path: path(), version: version())
        }
    }

    private mutating func create() -> TransportRequest {
        let (path, mode) = creation(inTransaction: false)
        return .create(path: path, data: data(), mode: mode, acl: acl())
    }

    /// What to create: sequential ones mostly where ``deletedPath()`` looks for them, and never beside the root, where
    /// other sequences count as well.
    private mutating func creation(inTransaction: Bool) -> (String, TransportCreateMode) {
        let modes: [TransportCreateMode] = [
            .persistent, .persistent, .persistent, .ephemeral, .persistentSequential, .ephemeralSequential,
        ]
        let mode = chance.pick(inTransaction ? modes : modes + [.container])
        switch mode {
        case .persistentSequential, .ephemeralSequential:
            return (chance.oneIn(5) ? chance.pick(Array(nodes.dropFirst())) : root + "/q/s-", mode)
        default:
            return (path(), mode)
        }
    }

    private mutating func setACL() -> TransportRequest {
        chance.oneIn(3)
            ? .setACL(path: ownPath(), acl: acl(), version: version())
            : .setACL(path: ownPath(), acl: openACL, version: -1)
    }

    // MARK: Parts

    private mutating func ownPath() -> String { chance.pick(nodes) }

    /// A path of the sequence, or sometimes one that stands on every server and that nobody changes.
    private mutating func path() -> String {
        chance.oneIn(16) ? chance.pick(["/zookeeper", "/zookeeper/quota"]) : ownPath()
    }

    private mutating func deletedPath() -> String {
        switch chance.below(16) {
        case 0: chance.pick(["/", "/zookeeper", "/zookeeper/quota"])
        case 1..<4: root + "/q/s-" + Self.sequenceNumber(chance.below(40))
        default: chance.pick(Array(nodes.dropFirst()))
        }
    }

    private static func sequenceNumber(_ number: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: 10 - digits.count) + digits
    }

    private mutating func data() -> [UInt8]? {
        chance.oneIn(6) ? nil : Array(repeating: 7, count: chance.below(5))
    }

    private mutating func version() -> Int32 {
        chance.oneIn(2) ? -1 : Int32(chance.below(4))
    }

    /// Mostly everything for anybody; else a part of it, an entry twice, or no entry at all.
    private mutating func acl() -> [TransportACL] {
        switch chance.below(24) {
        case 0: [TransportACL(permissions: Int32(1 + chance.below(31)), scheme: "world", id: "anyone")]
        case 1: [TransportACL(permissions: Int32(16 + chance.below(16)), scheme: "world", id: "anyone")]
        case 2: openACL + openACL
        case 3: []
        default: openACL
        }
    }
}
