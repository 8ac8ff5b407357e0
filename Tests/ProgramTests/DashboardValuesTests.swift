import CommandLineSupport
import Foundation
import Testing
import ZooKeeper

@testable import ZooKeeperRecipes
@testable import ZooKeeperScheduling
@testable import zkrecipes

/// The values that the dashboard's state is composed of.
@Suite struct DashboardValuesTests {
    private static let hostile = "a\u{1b}[2J\n\ndata: all is well\r\u{9b}\u{202e}\u{2028}</script>\"\\"

    private func time(_ seconds: Int) -> Timestamp { Timestamp(millisecondsSince1970: Int64(seconds) * 1000) }

    private func object(_ json: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
    }

    // MARK: The state

    private let board = DashboardBoard(.init(servers: "zk1:2181/app", paths: ["/"], verbs: nil), at: .now)

    @Test func `a state contains the recipes that were read, by section and path`() throws {
        let keys = [("/b", RecipeKind.mutex), ("/a", .semaphore), ("/orders", .exclusiveMode), ("/unread", .mutex)]
            .map { DashboardBoard.Key(path: $0.0, kind: $0.1) }
        for key in keys { board.add(key) }
        for key in keys.dropLast() { board.set(UnreadableForm(kind: key.kind, problem: "p"), for: key) }
        board.set(notes: ["n"])
        board.set(isConnected: true, at: time(5))
        let state = try object(board.compose(at: time(7)))
        #expect((state["queues"] as? [[String: Any]])?.map { $0["path"] as? String } == ["/a", "/b"])
        #expect((state["exclusive"] as? [[String: Any]])?.map { $0["kind"] as? String } == ["exclusive-mode"])
        #expect((state["schedules"] as? [Any])?.isEmpty == true && (state["partitions"] as? [Any])?.isEmpty == true)
        #expect(state["version"] as? Int == 1 && state["time"] as? Int == 7000 && state["isReading"] as? Bool == true)
        #expect(state["notes"] as? [String] == ["n"] && state["paths"] as? [String] == ["/"])
        let connection = try #require(state["connection"] as? [String: Any])
        #expect(connection["state"] as? String == "connected" && connection["since"] as? Int == 5000)
        #expect(connection["servers"] as? String == "zk1:2181/app")
        #expect((state["changes"] as? [String: Any])?["allowed"] as? Bool == false)
        #expect((state["ensemble"] as? [String: Any])?["checkedAt"] == nil)
    }

    @Test func `values that are set again are no change, and a lost connection keeps them`() throws {
        let key = DashboardBoard.Key(path: "/m", kind: .mutex)
        #expect(!board.set(UnreadableForm(kind: .mutex, problem: "x"), for: key), "it was not added")
        board.add(key)
        #expect(board.set(UnreadableForm(kind: .mutex, problem: "e\u{301}"), for: key))
        #expect(!board.set(UnreadableForm(kind: .mutex, problem: "e\u{301}"), for: key))
        #expect(board.set(UnreadableForm(kind: .mutex, problem: "\u{e9}"), for: key), "other bytes")
        board.set(isConnected: true)
        board.set(isConnected: false)
        let lost = try object(board.compose())
        #expect((lost["queues"] as? [Any])?.count == 1)
        #expect((lost["connection"] as? [String: Any])?["state"] as? String == "disconnected")
        board.remove(key)
        #expect(!board.set(UnreadableForm(kind: .mutex, problem: "late"), for: key))
        let last = try object(board.compose())
        #expect((last["queues"] as? [Any])?.isEmpty == true)
    }

    @Test func `text from znodes cannot end the line of an event, and arrives unchanged`() throws {
        let key = DashboardBoard.Key(path: "/" + Self.hostile, kind: .exclusiveMode)
        board.add(key)
        let processor = ExclusiveStatus.Processor(id: Self.hostile, host: Self.hostile, pid: 1, activity: .running)
        let window = ExclusiveStatus.Window(
            participantID: Self.hostile, reason: Self.hostile, requestedAt: time(1), token: FencingToken(rawValue: 1))
        let status = ExclusiveStatus(window: window, crashedWindows: [], processors: [processor], recentWindows: [])
        var history = ProcessorHistory()
        board.set(history.form(of: StatusReport(base: key.path, status: status), at: time(2)), for: key)
        let json = board.compose()
        #expect(!json.unicodeScalars.contains(where: Text.isUnsafe))
        let mode = try #require((try object(json)["exclusive"] as? [[String: Any]])?.first)
        #expect(mode["path"] as? String == key.path)
        let shown = try #require((mode["processors"] as? [[String: Any]])?.first)
        #expect(shown["id"] as? String == Self.hostile && shown["host"] as? String == Self.hostile)
        #expect((mode["window"] as? [String: Any])?["reason"] as? String == Self.hostile)
    }

    // MARK: Exclusive modes

    private func status(
        _ processors: [(id: String, pid: Int32, activity: ExclusiveStatus.Processor.Activity)]
    ) -> StatusReport {
        let all = processors.map { ExclusiveStatus.Processor(id: $0.id, host: "h", pid: $0.pid, activity: $0.activity) }
        return StatusReport(
            base: "/b",
            status: ExclusiveStatus(window: nil, crashedWindows: [], processors: all, recentWindows: []))
    }

    @Test func `a processor has its state since it was first seen in it, and is kept when it has left`() {
        var history = ProcessorHistory()
        _ = history.form(of: status([("one", 1, .running), ("two", 2, .running)]), at: time(10))
        let second = history.form(
            of: status([("one", 1, .running), ("two", 2, .draining(inside: 1, oldest: nil))]), at: time(20))
        #expect(second.report.processors.map(\.since) == [10_000, 20_000] && second.departed.isEmpty)
        let third = history.form(of: status([("one", 1, .draining(inside: 3, oldest: nil))]), at: time(30))
        #expect(
            third.departed == [.init(id: "two", host: "h", pid: 2, state: "draining", leftAt: 30_000)])
        // Another number of events is the same state.
        let fourth = history.form(of: status([("one", 1, .draining(inside: 2, oldest: nil))]), at: time(40))
        #expect(fourth.report.processors.map(\.since) == [30_000] && fourth.departed.count == 1)
        let back = history.form(of: status([("one", 1, .paused), ("two", 9, .running)]), at: time(50))
        #expect(back.departed.isEmpty)
        _ = history.form(of: status([("one", 1, .paused)]), at: time(60))
        #expect(history.form(of: status([("one", 1, .paused)]), at: time(700)).departed.isEmpty)
    }

    @Test func `locks of other client libraries, which have no process ID, do not count as processors that left`() {
        var history = ProcessorHistory()
        _ = history.form(of: status([("_c_1-__READ__0000000001", 0, .running)]), at: time(1))
        #expect(history.form(of: status([("_c_2-__READ__0000000003", 0, .running)]), at: time(2)).departed.isEmpty)
        for pid in 1...300 as ClosedRange<Int32> {
            _ = history.form(of: status([("p\(pid)", pid, .running)]), at: time(3))
        }
        #expect(history.form(of: status([]), at: time(4)).departed.count == ProcessorHistory.maximum)
    }

    // MARK: Partitions

    private func entry(_ partition: String, _ owner: String?) -> PartitionStatus.Entry {
        PartitionStatus.Entry(partition: partition, owner: owner, terms: 1)
    }

    @Test func `moves are what changed between two reads, and owners are listed by node`() {
        var history = MoveHistory()
        history.record([entry("a", "n1"), entry("b", nil), entry("c", "n2")], at: time(1))
        #expect(history.moves.isEmpty, "nothing is known about the time before")
        let last = [entry("a", "n2"), entry("b", "n1"), entry("c", "n2"), entry("d", nil)]
        history.record(last, at: time(2))
        #expect(
            history.moves == [
                .init(time: 2000, partition: "a", from: "n1", to: "n2"),
                .init(time: 2000, partition: "b", from: nil, to: "n1"),
            ])
        history.record([entry("a", nil)], at: time(3))
        #expect(history.moves.last == .init(time: 3000, partition: "a", from: "n2", to: nil))
        let status = PartitionStatus(
            nodes: [PartitionNode("n1"), PartitionNode("n3")], cordons: ["n2": "disk"], partitions: last)
        let form = PartitionForm(PartitionReport(status), moves: [])
        #expect(form.total == 4 && form.unowned == 1 && form.unownedPartitions == ["d"])
        #expect(form.nodes.map(\.id) == ["n1", "n2", "n3"] && form.nodes.map(\.owned) == [1, 2, 0])
        #expect(form.nodes.map(\.isMember) == [true, false, true])
        #expect(form.nodes.map(\.isCordoned) == [false, true, false] && form.nodes[1].cordonReason == "disk")
        #expect(form.nodes[1].partitions == ["a", "c"])
    }

    // MARK: Schedules

    private func run(
        _ start: Int, _ state: RunRecord.State, message: String? = nil, kind: RunRecord.Kind = .scheduled
    ) -> RunRecord {
        var run = RunRecord(
            Schedule.Period(id: "p\(start)", start: time(start), end: time(start + 60), note: nil), kind: kind,
            state: state,
            participantID: "n1", term: FencingToken(rawValue: 1))
        run.message = message
        return run
    }

    @Test func `a period that nobody has claimed a minute after its start is overdue, unless the schedule is paused`() {
        var report = ScheduleReport(
            runs: [run(0, .completed), run(10, .completed, kind: .requested)], nodes: ["n1"], commands: nil)
        #expect(report.next == time(60))
        #expect(!report.isOverdue(at: time(120)) && report.isOverdue(at: time(121)))
        #expect(report.problems(at: time(121)).count == 1)
        report.runs.append(run(60, .started))
        #expect(!report.isOverdue(at: time(300)), "a run is in progress")
        report.runs.removeLast()
        report.commands = OperatorCommands()
        report.commands?.pause = .init(reason: "noon", requestedBy: "ada")
        #expect(!report.isOverdue(at: time(300)))
        let form = report.form(at: time(300))
        #expect(form.pause?.reason == "noon" && form.commands.isEmpty && form.leader == "n1")
    }

    @Test func `failed runs, runs that wait for a decision and the lack of nodes are problems`() {
        var report = ScheduleReport(
            runs: [run(0, .failed, message: "exit status 3"), run(60, .skipped)], nodes: [], commands: nil)
        #expect(
            report.problems(at: time(61)) == [
                "no node takes part: nothing runs until one does", "the run of p0 failed: exit status 3",
            ])
        report.runs.append(run(120, .completed))
        report.nodes = ["n1"]
        #expect(report.problems(at: time(121)).isEmpty, "the failure is over")
        report.runs.append(run(180, .awaitingOperator))
        #expect(report.problems(at: time(181)).first?.contains("p180 waits for a decision") == true)
    }

    @Test func `the last runs have their lateness and duration`() {
        var late = run(60, .completed)
        (late.startedAt, late.endedAt) = (time(62), time(65))
        let report = ScheduleReport(
            runs: (0..<30).map { run($0 - 30, .completed) } + [late], nodes: [], commands: nil)
        let form = report.form(at: time(66))
        #expect(form.runs.count == 20 && form.runs.last?.lateness == 2000 && form.runs.last?.duration == 3000)
    }

    // MARK: Size

    @Test func `a state with 200 processors and 1,000 partitions is composed`() throws {
        let processors = (0..<200).map { number in
            ExclusiveStatus.Processor(
                id: "orders-worker-\(number)", host: "worker-\(number).example.com", pid: 4711,
                activity: .draining(inside: number, oldest: .milliseconds(number * 10)))
        }
        let window = ExclusiveStatus.Window(
            participantID: "ada", reason: "nightly settlement", requestedAt: .now, token: FencingToken(rawValue: 1))
        let status = ExclusiveStatus(window: window, crashedWindows: [], processors: processors, recentWindows: [])
        let owners = (0..<1000).map { entry("partition-\($0)", "node-\($0 % 20)") }
        let group = PartitionStatus(nodes: (0..<20).map { PartitionNode("node-\($0)") }, partitions: owners)
        let (mode, partitions) = (
            DashboardBoard.Key(path: "/orders", kind: .exclusiveMode),
            DashboardBoard.Key(path: "/shards", kind: .partitionGroup)
        )
        board.add(mode)
        board.add(partitions)
        var (history, moves, states) = (ProcessorHistory(), MoveHistory(), [String]())
        let clock = ContinuousClock()
        let rounds = 10
        let time = clock.measure {
            for _ in 0..<rounds {
                board.set(history.form(of: StatusReport(base: "/orders", status: status), at: .now), for: mode)
                moves.record(owners, at: .now)
                board.set(PartitionForm(PartitionReport(group), moves: moves.moves), for: partitions)
                states.append(board.compose())
            }
        }
        let size = try #require(states.last?.utf8.count)
        print("a state with 200 processors and 1,000 partitions: \(size) bytes, \(time / rounds) to compose")
        let state = try object(try #require(states.last))
        #expect(((state["exclusive"] as? [[String: Any]])?.first?["processors"] as? [Any])?.count == 200)
        #expect((state["partitions"] as? [[String: Any]])?.first?["total"] as? Int == 1000)
        #expect(size < 200_000)
    }
}
