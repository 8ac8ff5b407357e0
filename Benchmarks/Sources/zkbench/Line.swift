import ArgumentParser

/// A benchmark that zkbench can run.
struct Line: Sendable {
    var name: String
    var usage: String
    var run: @Sendable (Bench, LineArguments) async throws -> Void

    /// All lines, in the order of the help text.
    static let all = [
        Line(name: "get", usage: "DEPTH [COUNT]", run: Requests.get),
        Line(name: "create-delete", usage: "DEPTH [COUNT]", run: Requests.createDelete),
        Line(name: "memory", usage: "CLIENTS", run: Memory.run),
        Line(name: "mutex", usage: "COUNT [handle|scoped]", run: Uncontended.mutex),
        Line(name: "rwlock-read", usage: "COUNT [handle|scoped]", run: Uncontended.readLock),
        Line(name: "handoff", usage: "CONTENDERS COUNT [own|shared|object]", run: HandOff.run),
        Line(name: "leader-failover", usage: "ROUNDS [selector|latch]", run: Failover.run),
        Line(name: "nodecache", usage: "COUNT", run: NodeCaches.one),
        Line(name: "nodecache-fan", usage: "CACHES COUNT [own|shared]", run: NodeCaches.fan),
        Line(name: "gate", usage: "THREADS [EVENTS]", run: Gate.run),
        Line(name: "exclusive", usage: "PROCESSORS ROUNDS [paced|tight] [PROCESSES]", run: Exclusive.run),
        Line(name: "exclusive-naive", usage: "PROCESSORS SECONDS", run: ExclusiveNaive.run),
        Line(name: "task-runs", usage: "COUNT", run: Tasks.runs),
        Line(name: "task-moves", usage: "COUNT", run: Tasks.moves),
        Line(name: "partition-moves", usage: "PARTITIONS ROUNDS", run: PartitionMoves.run),
        Line(name: "partitions", usage: "PARTITIONS NODES [ID-LENGTH]", run: Partitions.run),
        Line(name: "partition-plan", usage: "PARTITIONS NODES", run: Partitions.plan),
        Line(name: "children-cache", usage: "CHILDREN", run: NodeCaches.children),
        Line(name: "tails", usage: "windows|hand-offs COUNT [CONTENDERS]", run: Tails.run),
        Line(name: "leaks", usage: "COUNT [OPERATION]", run: Leaks.run),
    ]

    /// Lines that other lines run in processes of their own.
    private static let inner = [
        Line(name: "candidate", usage: "selector|latch PATH ID", run: Failover.candidate),
        Line(name: "processors", usage: "BASE BOARD FIRST COUNT PACE", run: Exclusive.processors),
    ]

    static func named(_ name: String) throws -> Line {
        if let line = (all + inner).first(where: { $0.name == name }) { return line }
        throw ValidationError("there is no line \"\(name)\"; zkbench --help lists them")
    }
}

/// The arguments of a line.
struct LineArguments: Sendable {
    private let line: Line
    private let words: [String]

    init(line: Line, _ words: [String]) {
        self.line = line
        self.words = words
    }

    /// Returns the number at a position.
    func number(_ position: Int, default value: Int? = nil) throws -> Int {
        guard position < words.count else {
            if let value { return value }
            throw ValidationError("\(line.name) takes the arguments \(line.usage)")
        }
        guard let number = Int(words[position]), number >= 0 else {
            throw ValidationError("\"\(words[position])\" is no number; \(line.name) takes \(line.usage)")
        }
        return number
    }

    /// Returns the number at a position, which must be at least 1.
    func count(_ position: Int, default value: Int? = nil) throws -> Int {
        let number = try number(position, default: value)
        guard number > 0 else { throw ValidationError("0 is too small; \(line.name) takes \(line.usage)") }
        return number
    }

    /// Returns the word at a position, which must be one of the given ones; the default is the first of them.
    func word(_ position: Int, of choices: [String]) throws -> String {
        guard position < words.count else { return choices[0] }
        guard choices.contains(words[position]) else {
            throw ValidationError("\"\(words[position])\" is not one of \(choices.joined(separator: ", "))")
        }
        return words[position]
    }

    /// Returns the text at a position.
    func text(_ position: Int) throws -> String {
        guard position < words.count else { throw ValidationError("\(line.name) takes the arguments \(line.usage)") }
        return words[position]
    }

    /// Whether there is no argument at a position.
    func isEmpty(_ position: Int) -> Bool { position >= words.count }

    /// Whether the word is one of the arguments.
    func has(_ word: String) -> Bool { words.contains(word) }
}
