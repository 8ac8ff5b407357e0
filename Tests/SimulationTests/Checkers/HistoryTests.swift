import Testing
import ZooKeeper
import ZooKeeperSimulator

@Suite struct HistoryTests {
    @Test func `what is recorded is kept in the order of recording`() {
        let history = History<LockAction>()
        #expect(history.entries.isEmpty)
        history.record(.began(token: 1, kind: .read), by: "a", at: MonotonicInstant(nanoseconds: 5))
        history.record(.crashed, by: "b", at: MonotonicInstant(nanoseconds: 3))
        #expect(history.entries.map(\.process) == ["a", "b"])
        #expect(history.entries.map(\.time.nanoseconds) == [5, 3])
        #expect(history.entries.map(\.action) == [.began(token: 1, kind: .read), .crashed])
    }

    @Test func `threads record at once and nothing is lost`() async {
        let history = History<LockAction>()
        await withTaskGroup { group in
            for task in 0..<8 {
                group.addTask {
                    for number in 0..<100 {
                        history.record(.ended(token: Int64(number)), by: "\(task)", at: .distantPast)
                    }
                }
            }
        }
        let entries = history.entries
        #expect(entries.count == 800)
        for task in 0..<8 {
            #expect(entries.count { $0.process == "\(task)" } == 100)
        }
    }
}
