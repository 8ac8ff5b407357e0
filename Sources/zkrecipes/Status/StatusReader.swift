import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling

/// Reads the status of recipes; it sends only reads.
struct StatusReader: Sendable {
    let client: ZooKeeperClient
    /// The maximum number of participants that are read.
    var limit: Int
    /// Whether to read only what the table of all recipes shows.
    var isBrief = false

    /// Reads the status of a recipe.
    ///
    /// - Parameters:
    ///   - kind: The kind that the children's names suggest; a group may turn out to be another kind.
    ///   - names: The names of the children.
    func status(at path: String, kind: RecipeKind, names: [String]) async throws -> RecipeStatus {
        switch kind {
        case .mutex, .readWriteLock, .leaderElection, .leaderLatch:
            return try await queue(at: path, kind: kind, names: names)
        case .semaphore: return try await semaphore(at: path)
        case .exclusiveMode: return try await exclusiveMode(at: path)
        case .partitionGroup: return try await partitionGroup(at: path)
        case .scheduledTask: return try await scheduledTask(at: path)
        case .doubleBarrier: return try await doubleBarrier(at: path, names: names)
        case .group: return try await group(at: path, names: names)
        case .znode: return try await znode(at: path)
        }
    }

    // MARK: Queues

    private func queue(at path: String, kind: RecipeKind, names: [String]) async throws -> RecipeStatus {
        var status = RecipeStatus(path: path, kind: kind)
        try await read(queue: names, in: path, into: &status)
        if kind == .leaderElection || kind == .leaderLatch { try await readTerm(of: path, into: &status) }
        if !isBrief { try await readRequests(toQueue: path, into: &status) }
        return status
    }

    /// Reads the participants of a queue.
    private func read(queue names: [String], in path: String, into status: inout RecipeStatus) async throws {
        let shown = QueueOrder(names).entries.prefix(limit).map(\.name.name)
        let found = try await client.facts(ofChildren: shown, of: path)
        let facts = Dictionary(found.map { (ZNodeName($0.0), $0.1) }) { first, _ in first }
        let gone = Set(found.filter { $0.1.content == .missing }.map { ZNodeName($0.0) })
        let existing = names.filter { !gone.contains($0) }
        let order = QueueOrder(existing, czxids: facts.compactMapValues { $0.stat?.czxid.rawValue })
        status.layouts = order.layouts
        status.total += order.entries.count
        let placeholders = order.entries.filter { EvictionPlaceholder.isPlaceholder($0.name.name) }
        status.holders += order.holders - placeholders.count { $0.waitsFor == nil }
        status.waiting += order.entries.count - order.holders - placeholders.count { $0.waitsFor != nil }
        status.participants += order.entries.prefix(limit).enumerated().map { position, entry in
            participant(entry, at: position, in: order, facts, kind: status.kind)
        }
        status.describeEvictions()
        status.notes += Self.notes(on: order, status)
    }

    private func participant(
        _ entry: QueueOrder.Entry, at position: Int, in order: QueueOrder, _ facts: [ZNodeName: ZNodeFacts],
        kind: RecipeKind
    ) -> RecipeParticipant {
        let name = entry.name
        let found = facts[name.name] ?? ZNodeFacts(stat: nil, .missing)
        let isElection = kind == .leaderElection || kind == .leaderLatch || kind == .scheduledTask
        let holds: RecipeParticipant.State = isElection ? .leads : .holds
        // In an election, the token is that of the term; in an exclusive mode, that of the window is its signal's.
        let isPlaceholder = EvictionPlaceholder.isPlaceholder(name.name)
        let hasToken =
            entry.waitsFor == nil && !isPlaceholder && !isElection && !(kind == .exclusiveMode && name.access == .write)
        return RecipeParticipant(
            state: isPlaceholder ? .evicting : entry.waitsFor == nil ? holds : .waits, position: position,
            access: kind == .readWriteLock || kind == .exclusiveMode
                ? (name.access == .read ? "read" : "write") : nil,
            znode: name.name, facts: found, id: Self.id(found),
            token: hasToken ? found.stat?.czxid.rawValue : nil,
            waitsFor: entry.waitsFor.map { Self.reference(to: $0, in: order, facts) })
    }

    /// Names a participant ahead, by its position and its ID.
    private static func reference(
        to position: Int, in order: QueueOrder, _ facts: [ZNodeName: ZNodeFacts]
    ) -> String {
        let name = order.entries[position].name.name
        guard let id = facts[name].flatMap({ id($0) }), !id.isEmpty else { return "#\(position)" }
        return "#\(position) \(ZNodeFacts.shortened(id, to: 40))"
    }

    /// The participant's ID in the data of its znode, as this package, Curator and kazoo write it.
    private static func id(_ facts: ZNodeFacts) -> String? {
        guard case .text(let text) = facts.content else { return nil }
        let fields = KeyValueData(Array(text.utf8))
        return fields["owner"] ?? fields["name"] ?? text
    }

    private static func notes(on order: QueueOrder, _ status: RecipeStatus) -> [String] {
        var notes: [String] = []
        if order.layouts.count > 1 {
            notes.append(
                "participants with Curator's names and with kazoo's names do not exclude each other: one of each can "
                    + "hold the lock at the same time")
        }
        if order.others > 0, order.layouts.contains(.curator) {
            notes.append(
                "\(order.others) other \(noun("child", plural: "children", for: order.others)): Curator counts every child as a "
                    + "participant, so that its participants may wait for them")
        }
        let persistent = status.participants.filter { $0.facts.stat != nil && $0.facts.stat?.ephemeralOwner == nil }
        if let first = persistent.first {
            notes.append(
                "\(first.znode) is not ephemeral, so that no server deletes it: it blocks the participants behind it "
                    + "until an operator deletes it")
        }
        let refused = status.participants.count { $0.facts.content == .refused }
        if refused > 0 {
            notes.append("no permission to read the data of \(refused) \(noun("participant", for: refused))")
        }
        return notes
    }

    /// Reads the last term of an election.
    private func readTerm(of path: String, into status: inout RecipeStatus) async throws {
        let facts = try await client.facts(at: path + "-epoch")
        guard case .text(let text) = facts.content, let stat = facts.stat else { return }
        let fields = KeyValueData(Array(text.utf8))
        guard let leader = fields["leader"] else { return }
        status.details.append(("terms", String(stat.dataVersion)))
        let isInOffice = status.participants.first.map { fields["candidate"]?.hasBytes(of: $0.znode) ?? false }
        if isInOffice == true {
            status.participants[0].token = stat.mzxid.rawValue
            status.heldSince = stat.mtime
            if let previous = fields["previous"] { status.details.append(("previous leader", previous)) }
        } else {
            status.details.append(("last leader", leader))
        }
    }

    /// Reads the pending requests to the participants of a queue, such as requests to release the lock.
    private func readRequests(toQueue path: String, into status: inout RecipeStatus) async throws {
        let directory = ContenderRequest.directory(ofQueue: path)
        let names = try await client.listing(of: directory).names
        for (name, facts) in try await client.facts(ofChildren: names.prefix(limit), of: directory) {
            guard case .text(let text) = facts.content else { continue }
            let fields = KeyValueData(Array(text.utf8))
            let recipient = status.participants.first { name.hasBytePrefix($0.znode + ".") }
            let reason = fields["reason"].flatMap { $0.isEmpty ? nil : ": \(ZNodeFacts.shortened($0, to: 200))" } ?? ""
            status.notes.append(
                "pending request (\(fields["kind"] ?? "unknown")) from \(fields["from"] ?? "unknown") to "
                    + (recipient.map { "#\($0.position)" } ?? "a participant that has left") + reason)
        }
    }

    // MARK: Semaphores

    private func semaphore(at path: String) async throws -> RecipeStatus {
        var status = RecipeStatus(path: path, kind: .semaphore, layouts: [.curator])
        let leases = try await client.listing(of: ZNodePath.child("leases", of: path)).names
        try await read(leases: leases, in: ZNodePath.child("leases", of: path), into: &status)
        let waiters = try await client.listing(of: ZNodePath.child("locks", of: path)).names
        try await read(waiters: waiters, in: ZNodePath.child("locks", of: path), into: &status)
        let limitPath = path + "-limit"
        if !isBrief, let (data, _) = try await readable({ try await client.dataIfExists(at: limitPath) }),
            data.count == 4
        {
            let limit = data.reduce(0) { $0 << 8 | Int($1) }
            status.details.append(("leases", "\(leases.count) of \(limit)"))
        } else {
            status.details.append(("leases", String(leases.count)))
        }
        return status
    }

    private func read(leases names: [String], in path: String, into status: inout RecipeStatus) async throws {
        // Curator's and this package's leases are numbered; kazoo's are not.
        let sorted = names.sorted { ($0.suffix(10), ZNodeName($0)) < ($1.suffix(10), ZNodeName($1)) }
        let found = try await client.facts(ofChildren: sorted.prefix(limit), of: path)
        status.total += names.count
        status.holders += names.count { !EvictionPlaceholder.isPlaceholder($0) }
        status.participants += found.enumerated().map { position, lease in
            let isPlaceholder = EvictionPlaceholder.isPlaceholder(lease.0)
            return RecipeParticipant(
                state: isPlaceholder ? .evicting : .holds, position: position, access: "lease", znode: lease.0,
                facts: lease.1, id: Self.id(lease.1), token: isPlaceholder ? nil : lease.1.stat?.czxid.rawValue)
        }
        status.describeEvictions()
    }

    private func read(waiters names: [String], in path: String, into status: inout RecipeStatus) async throws {
        var queue = RecipeStatus(path: path, kind: .mutex)
        var reader = self
        reader.limit = max(0, limit - status.participants.count)
        try await reader.read(queue: names, in: path, into: &queue)
        let leases = status.total
        status.total += queue.total
        status.waiting += queue.total
        status.participants += queue.participants.map { waiter in
            var waiter = waiter
            waiter.access = "lease"
            waiter.state = .waits
            waiter.token = nil
            let position = waiter.position
            waiter.position += leases
            waiter.waitsFor = position == 0 ? "a free lease" : "#\(waiter.position - 1)"
            return waiter
        }
    }

    /// Reads a value; `nil` without permission.
    private func readable<Value: Sendable>(_ read: () async throws -> Value?) async throws -> Value? {
        do { return try await read() } catch let error as ZooKeeperError where error.code == .noAuth { return nil }
    }

    // MARK: Groups and barriers

    private func group(at path: String, names: [String]) async throws -> RecipeStatus {
        var status = RecipeStatus(path: path, kind: .group)
        let areKazoo = names.allSatisfy(BarrierName.isKazoo)
        if areKazoo, names.allSatisfy(BarrierName.isUUID) {
            // The znode of a kazoo semaphore contains its limit. Only the names of kazoo's parties have further parts.
            if let limit = try await client.facts(at: path).content.text.flatMap({ Int($0) }) {
                return try await kazooSemaphore(at: path, leases: names, limit: limit)
            }
            return try await doubleBarrier(at: path, names: names)
        }
        if areKazoo { status.layouts = [.kazoo] }
        let found = try await client.facts(ofChildren: names.prefix(limit), of: path)
        status.total = names.count
        status.holders = names.count
        status.participants = found.enumerated().map { position, member in
            RecipeParticipant(
                state: .member, position: position, znode: member.0, facts: member.1, id: Self.memberID(member))
        }
        status.notes += Self.notes(onMembers: status.participants)
        if !names.isEmpty, names.allSatisfy(BarrierName.isUUID) {
            status.notes.append(
                "a double barrier of Curator that waits for more participants has the same names")
        }
        return status
    }

    /// The member's ID: the name of its znode, or its data if the name is a random one.
    private static func memberID(_ member: (name: String, facts: ZNodeFacts)) -> String? {
        if member.name.utf8.count > 33, BarrierName.isKazoo(member.name), member.name.utf8.dropFirst(32).first == 45 {
            return String(member.name.dropFirst(33))
        }
        return BarrierName.isUUID(member.name) || BarrierName.isKazoo(member.name) ? id(member.facts) : member.name
    }

    private static func notes(onMembers participants: [RecipeParticipant]) -> [String] {
        let persistent = participants.filter { $0.facts.stat != nil && $0.facts.stat?.ephemeralOwner == nil }
        guard let first = persistent.first else { return [] }
        return ["\(persistent.count) children, such as \(first.znode), are not ephemeral: no session owns them"]
    }

    private func kazooSemaphore(at path: String, leases: [String], limit: Int) async throws -> RecipeStatus {
        var status = RecipeStatus(path: path, kind: .semaphore, layouts: [.kazoo])
        try await read(leases: leases, in: path, into: &status)
        let locks = path + "-__lock__"
        try await read(waiters: client.listing(of: locks).names, in: locks, into: &status)
        status.details.append(("leases", "\(status.holders) of \(limit)"))
        return status
    }

    private func doubleBarrier(at path: String, names: [String]) async throws -> RecipeStatus {
        var status = RecipeStatus(path: path, kind: .doubleBarrier)
        let members = names.filter { $0 != BarrierName.ready }
        let ready = names.count > members.count ? try await client.facts(at: path + "/" + BarrierName.ready) : nil
        let found = try await client.facts(ofChildren: members.prefix(limit), of: path)
        if !members.isEmpty, members.allSatisfy(BarrierName.isKazoo) { status.layouts = [.kazoo] }
        status.total = members.count
        status.participants = found.enumerated().map { position, member in
            // The participants that entered before the last write of `ready` form the round.
            let isInside = ready?.stat.flatMap { ready in member.1.stat.map { $0.czxid < ready.mzxid } } ?? false
            return RecipeParticipant(
                state: isInside ? .inside : .waits, position: position, znode: member.0, facts: member.1,
                id: Self.id(member.1),
                waitsFor: isInside ? nil : ready == nil ? "more participants" : "the end of the round")
        }
        status.holders = status.participants.count { $0.state == .inside }
        status.waiting = status.total - status.holders
        status.details.append(("round", ready == nil ? "not started" : "started"))
        status.notes += Self.notes(onMembers: status.participants)
        return status
    }

    private func znode(at path: String) async throws -> RecipeStatus {
        var status = RecipeStatus(path: path, kind: .znode)
        let facts = try await client.facts(at: path)
        if let stat = facts.stat {
            status.details += [
                ("data", facts.description), ("created", stat.ctime.secondsText),
                ("written", stat.mtime.secondsText), ("czxid", String(stat.czxid.rawValue)),
            ]
            if let owner = stat.ephemeralOwner { status.details.append(("session", owner.description)) }
        }
        status.notes.append(
            "as a barrier, it is set; as a lock, an election or a group, it has no participants; a counter and a value "
                + "look like this as well")
        return status
    }
}

// MARK: Recipes with their own status

extension StatusReader {
    private func exclusiveMode(at path: String) async throws -> RecipeStatus {
        var status = RecipeStatus(path: path, kind: .exclusiveMode)
        let mode = try ExclusiveMode(client: client, path: path)
        let locks = try await client.listing(of: mode.locksPath).names
        try await read(queue: locks, in: mode.locksPath, into: &status)
        var signal = try await client.facts(at: mode.signalPath)
        // The signal of holds has a child while a window is requested or open.
        if signal.stat.map({ $0.childrenCount > 0 }) == true {
            let window = try await client.facts(at: mode.heldWindowPath)
            if window.stat != nil { signal = window }
        }
        status.holders = 0
        if signal.stat != nil {
            let fields = KeyValueData(Array((signal.content.text ?? "").utf8))
            status.namedHolder = fields["owner"].map { ZNodeFacts.shortened($0, to: 60) } ?? "an unknown operator"
            status.heldSince = signal.stat?.ctime
            status.holders = 1
            if fields["kind"] == "hold" {
                // The signal names the owner of the first hold, which may have been removed since.
                let hold = try? await mode.holds().first
                if let hold {
                    status.namedHolder = ZNodeFacts.shortened(hold.participantID, to: 60)
                    status.heldSince = hold.since
                }
                status.details.append(("hold", hold?.reason ?? "unknown"))
            } else {
                status.details.append(("token", signal.stat.map { String($0.czxid.rawValue) } ?? ""))
                status.details.append(("session", signal.stat?.ephemeralOwner?.description ?? "none"))
            }
            let readers = locks.compactMap(QueueName.init).count { $0.access == .read }
            if readers > 0 { status.details.append(("processors that have not paused", String(readers))) }
        }
        // Processors hold their locks while no window is open: they do not hold the mode.
        status.participants = status.participants.map { participant in
            var participant = participant
            if participant.state == .holds, participant.access == "read" { participant.state = .member }
            return participant
        }
        guard !isBrief else { return status.withoutMembers }
        var current = try await mode.status()
        let processors = current.processors.count
        current.processors = Array(current.processors.prefix(limit))
        status.report = StatusReport(base: path, status: current).lines
        if processors > limit {
            status.notes.append("\(limit) of \(processors) processors are shown; --limit shows more")
        }
        return status
    }

    private func partitionGroup(at path: String) async throws -> RecipeStatus {
        let members = ZNodePath.child("members", of: path)
        var status = try await group(at: members, names: client.listing(of: members).names)
        (status.path, status.kind) = (path, .partitionGroup)
        guard !isBrief else { return status }
        do {
            let current = try await PartitionGroup.status(client: client, path: path)
            let lines = PartitionReport(current).lines
            status.report = Array(lines.prefix(2 * limit + 3))
            if lines.count > status.report.count {
                status.notes.append("the report is cut: `zkrecipes partitions status` prints all of it")
            }
        } catch let error as ZooKeeperError where error.code == .noAuth {
            status.notes.append("the partitions could not be read: \(error.explanation)")
        }
        return status
    }

    private func scheduledTask(at path: String) async throws -> RecipeStatus {
        var status = RecipeStatus(path: path, kind: .scheduledTask)
        let election = ZNodePath.child("leader", of: path)
        try await read(queue: client.listing(of: election).names, in: election, into: &status)
        try await readTerm(of: election, into: &status)
        guard !isBrief else { return status }
        do {
            let runs = try await ScheduledTaskHistory(client: client, path: path).runs()
            status.report = runs.isEmpty ? ["No runs."] : ["Last runs:"] + runs.suffix(10).map { "  \($0.line)" }
            let commands = try await ScheduledTaskControl(client: client, path: path, id: "").commands()
            status.report += [""] + commands.lines
        } catch let error as ZooKeeperError where error.code == .noAuth {
            status.notes.append("the runs could not be read: \(error.explanation)")
        } catch let error as RecipeError {
            status.notes.append(error.explanation)
        }
        return status
    }
}

extension RecipeStatus {
    /// Adds who evicts whom to the details.
    fileprivate mutating func describeEvictions() {
        for participant in participants where participant.state == .evicting {
            let eviction = LockQueueEntry.Eviction(Array((participant.facts.content.text ?? "").utf8))
            let text = eviction.text(operatorID: participant.id ?? "", since: participant.facts.stat?.ctime)
            details.append(("eviction", text))
        }
    }

    /// The status without the processors of an exclusive mode, which do not hold it.
    fileprivate var withoutMembers: RecipeStatus {
        var status = self
        status.participants.removeAll { $0.state == .member }
        return status
    }
}

extension ZNodeFacts.Content {
    /// The data, if they are text.
    fileprivate var text: String? {
        guard case .text(let text) = self else { return nil }
        return text
    }
}
