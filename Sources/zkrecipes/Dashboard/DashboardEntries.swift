import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes

/// A recipe in the state: its path, and the values of its own report.
struct DashboardEntry<Form: Encodable>: Encodable {
    var path: String
    var form: Form

    private enum Keys: String, CodingKey { case path }

    func encode(to encoder: any Encoder) throws {
        try form.encode(to: encoder)
        var container = encoder.container(keyedBy: Keys.self)
        try container.encode(path, forKey: .path)
    }
}

/// The values of a recipe that could not be read.
struct UnreadableForm: Encodable, Sendable {
    var kind: RecipeKind
    var problem: String
}

// MARK: Exclusive modes

/// The values of an exclusive mode: its own report, and the processors that have left.
struct ExclusiveForm: Encodable, Sendable {
    /// A processor that is no longer registered.
    struct Departed: Encodable, Sendable, Equatable {
        var id, host: String
        var pid: Int32
        /// The last state of the processor.
        var state: String
        var leftAt: Int64
    }

    var report: StatusReport.JSONForm
    var departed: [Departed]

    private enum Keys: String, CodingKey { case departed }

    func encode(to encoder: any Encoder) throws {
        try report.encode(to: encoder)
        var container = encoder.container(keyedBy: Keys.self)
        try container.encode(departed, forKey: .departed)
    }
}

/// What the dashboard has seen of the processors of an exclusive mode: since when each of them has its state, and which
/// have left.
struct ProcessorHistory: Sendable {
    /// A processor; after a restart, it is a different one.
    private struct Key: Hashable {
        @ZNodeName var id: String
        @ZNodeName var host: String
        var pid: Int32
    }

    /// The time for which a processor that has left is shown.
    static let shown = Duration.seconds(600)
    /// The number of processors that have left and are shown.
    static let maximum = 100

    private var seen: [Key: (state: String, since: Int64)] = [:]
    private var departed: [ExclusiveForm.Departed] = []

    /// Adds what was seen before to the values of an exclusive mode.
    mutating func form(of report: StatusReport, at now: Timestamp) -> ExclusiveForm {
        var form = report.form
        let time = now.millisecondsSince1970
        var current: [Key: (state: String, since: Int64)] = [:]
        for (index, processor) in form.processors.enumerated() {
            let key = Key(id: processor.id, host: processor.host, pid: processor.pid)
            let last = seen[key]
            let since = last.flatMap { $0.state == processor.state ? $0.since : nil } ?? time
            form.processors[index].since = since
            current[key] = (processor.state, since)
        }
        // Without a process ID, it is a lock of another client library, whose name changes with each pause.
        let left = seen.filter { current[$0.key] == nil && $0.key.pid != 0 }.map { key, last in
            ExclusiveForm.Departed(id: key.id, host: key.host, pid: key.pid, state: last.state, leftAt: time)
        }
        departed += left.sorted { ZNodeName($0.id) < ZNodeName($1.id) }
        seen = current
        let present = Set(current.keys.map { ZNodeName($0.id) })
        departed.removeAll { present.contains(ZNodeName($0.id)) || time - $0.leftAt > Self.shown.milliseconds }
        departed = Array(departed.suffix(Self.maximum))
        return ExclusiveForm(report: form.shortened, departed: departed)
    }
}

extension StatusReport.JSONForm {
    /// The longest text of a znode that is shown, in characters.
    private static let longest = 1024

    /// The values with shortened texts, because each state contains all of them.
    fileprivate var shortened: Self {
        func short(_ text: String) -> String { ZNodeFacts.shortened(text, to: Self.longest) }
        var form = self
        for index in form.processors.indices {
            form.processors[index].id = short(form.processors[index].id)
            form.processors[index].host = short(form.processors[index].host)
        }
        form.notPaused = form.notPaused.map(short)
        func short(_ window: Window) -> Window {
            var window = window
            (window.participantID, window.reason) = (short(window.participantID), short(window.reason))
            return window
        }
        form.window = form.window.map(short)
        form.crashedWindows = form.crashedWindows.map(short)
        // A hold is removed by its owner, whose ID has a limited length.
        for index in form.holds.indices { form.holds[index].reason = short(form.holds[index].reason) }
        return form
    }
}

// MARK: Partitions

/// A partition that has changed its owner.
struct PartitionMove: Encodable, Sendable, Equatable {
    var time: Int64
    var partition: String
    /// The owners before and after; `nil` if there was none.
    var from, to: String?
}

/// The owners of partitions that the dashboard has seen, and how they changed.
struct MoveHistory: Sendable {
    /// The number of moves that are kept.
    static let maximum = 100

    private var owners: [ZNodeName: String?]?
    private(set) var moves: [PartitionMove] = []

    /// Compares the owners with the ones seen before.
    mutating func record(_ partitions: [PartitionStatus.Entry], at now: Timestamp) {
        let last = owners
        owners = Dictionary(partitions.map { (ZNodeName($0.partition), $0.owner) }) { first, _ in first }
        guard let last else { return }
        moves += partitions.compactMap { entry in
            let before = last[ZNodeName(entry.partition)] ?? nil
            guard before.map({ ZNodeName($0) }) != entry.owner.map({ ZNodeName($0) }) else { return nil }
            return PartitionMove(
                time: now.millisecondsSince1970, partition: entry.partition, from: before, to: entry.owner)
        }
        moves = Array(moves.suffix(Self.maximum))
    }
}

/// The values of a partition group.
struct PartitionForm: Encodable, Sendable {
    struct Node: Encodable, Sendable {
        var id: String
        var isMember, isCordoned: Bool
        var cordonReason: String?
        var weight: Double?
        var capacity: Int?
        var owned: Int
        var partitions: [String]
    }

    /// The numbers of names that are shown.
    static let shownPartitions = 1000
    static let shownUnowned = 100

    var total, unowned, terms: Int
    var nodes: [Node]
    var unownedPartitions: [String]
    var moves: [PartitionMove]

    init(_ report: PartitionReport, moves: [PartitionMove]) {
        let status = report.status
        let owned = Dictionary(grouping: status.partitions) { $0.owner.map { ZNodeName($0) } }
            .mapValues { $0.map(\.partition) }
        let free = owned[nil] ?? []
        (total, unowned, terms) = (status.partitions.count, free.count, status.terms)
        unownedPartitions = Array(free.prefix(Self.shownUnowned))
        nodes = report.nodes.map { node in
            Node(
                id: node.id, isMember: node.member != nil,
                isCordoned: node.cordon != nil || node.member?.isCordoned == true, cordonReason: node.cordon,
                weight: node.member?.weight, capacity: node.member?.capacity, owned: node.owned,
                partitions: Array((owned[ZNodeName(node.id)] ?? []).prefix(Self.shownPartitions)))
        }
        self.moves = moves
    }
}

// MARK: The ensemble

/// The values of the ensemble.
struct EnsembleForm: Encodable, Sendable {
    struct Session: Encodable, Sendable {
        var id: String
        var timeout: Int64
    }

    var checkedAt: Int64?
    var servers: [DoctorReport.Server] = []
    var voters, observers: Int?
    var session: Session?
    var findings: [Finding] = []
    var skipped: [String] = []

    /// The values before the first check.
    init() {}

    /// Evaluates the answers of the servers with the rules of the doctor.
    init(_ measured: Measurements, session: ZooKeeper.Session?, at now: Timestamp) {
        checkedAt = now.millisecondsSince1970
        servers = measured.servers.map(DoctorReport.Server.init)
        (voters, observers) = (measured.members?.voters, measured.members?.observers)
        self.session = session.map { Session(id: $0.id.description, timeout: $0.timeout.milliseconds) }
        findings = Diagnosis(measured).findings
        skipped = ["round trips, stalls and clocks: `zkrecipes doctor` measures them"]
    }
}
