import ZooKeeper
import ZooKeeperRecipes

/// The name of a participant's znode in a queue, as this package and Curator, or as kazoo, write it.
struct QueueName: Sendable, Hashable {
    /// The library family that a name comes from; the families do not exclude one another.
    enum Layout: String, Sendable, Hashable, Encodable {
        case curator, kazoo
    }

    /// The access that a participant has or waits for.
    enum Access: String, Sendable, Hashable, Encodable {
        case lock, latch, read, write
    }

    @ZNodeName private(set) var name: String
    let layout: Layout
    let access: Access
    let number: Int64

    /// Parses the name of a child; `nil` if it is not that of a participant.
    init?(_ name: String) {
        if let contender = ContenderName(name) {
            guard Self.hasBoundary(contender) else { return nil }
            (self.name, layout, number) = (name, .curator, Int64(contender.number))
            access =
                switch contender.kind {
                case .lock: .lock
                case .latch: .latch
                case .read: .read
                case .write: .write
                }
            return
        }
        let bytes = name.utf8
        var digits = bytes.suffix(10)
        guard digits.count == 10, digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
            return nil
        }
        // After the server's numbers overflow, a sign precedes the digits.
        if bytes.suffix(11).first == UInt8(ascii: "-") { digits = bytes.suffix(11) }
        let word = String(decoding: bytes.dropLast(digits.count).suffix(9), as: UTF8.self)
        guard let number = Int64(String(decoding: digits, as: UTF8.self)) else { return nil }
        if word.hasByteSuffix("__rlock__") {
            access = .read
        } else if word.hasByteSuffix("__lock__") {
            access = .lock
        } else {
            return nil
        }
        (self.name, layout, self.number) = (name, .kazoo, number)
    }

    /// Whether the word in front of the number is a word of its own: `block-0000000001` is not in a queue.
    private static func hasBoundary(_ name: ContenderName) -> Bool {
        guard name.kind == .lock || name.kind == .latch else { return true }
        let prefix = name.prefix.utf8
        return prefix.isEmpty || prefix.last == UInt8(ascii: "-")
    }

    /// Returns whether a participant must wait for this one, if it is ahead in the queue.
    func blocks(_ other: QueueName) -> Bool {
        guard layout == other.layout else { return false }
        return other.access != .read || access != .read
    }
}

/// A queue in order: each participant with the one that it waits for.
struct QueueOrder: Sendable {
    struct Entry: Sendable {
        var name: QueueName
        /// The position of the participant that this one waits for; `nil` if it holds the lock or leads.
        var waitsFor: Int?
    }

    private(set) var entries: [Entry] = []
    /// The number of children that are not participants.
    private(set) var others: Int

    /// Sorts the children of a queue.
    ///
    /// - Parameters:
    ///   - names: The names of all children.
    ///   - czxids: The transactions that created the children that were read. Of participants with equal numbers, the
    ///     older one is ahead.
    init(_ names: [String], czxids: [ZNodeName: Int64] = [:]) {
        let queue = names.compactMap(QueueName.init)
        others = names.count - queue.count
        let keyed = queue.map { (key: ($0.number, czxids[$0.name] ?? 0, ZNodeName($0.name)), name: $0) }
        // The nearest participants ahead, by layout: of any access, and of an exclusive one.
        var last: [QueueName.Layout: Int] = [:]
        var lastExclusive: [QueueName.Layout: Int] = [:]
        for (position, item) in keyed.sorted(by: { $0.key < $1.key }).enumerated() {
            let name = item.name
            let waitsFor = name.access == .read ? lastExclusive[name.layout] : last[name.layout]
            entries.append(Entry(name: name, waitsFor: waitsFor))
            last[name.layout] = position
            if name.access != .read { lastExclusive[name.layout] = position }
        }
    }

    /// The participants that wait for no other one.
    var holders: Int { entries.count { $0.waitsFor == nil } }
    /// The families of the participants' names, sorted.
    var layouts: [QueueName.Layout] { Set(entries.map(\.name.layout)).sorted { $0.rawValue < $1.rawValue } }
}
