import CommandLineSupport
import Testing
import ZooKeeperRecipes

@testable import zkrecipes
@testable import zkrecipes_dev

@Suite struct TextTests {
    @Test func `numbers are rounded and grouped`() {
        #expect(Text.fixed(1.25, 1) == "1.3")
        #expect(Text.fixed(-0.04, 1) == "0.0")
        #expect(Text.fixed(12.009, 2) == "12.01")
        #expect(Text.fixed(7, 0) == "7")
        #expect(Text.grouped(0) == "0")
        #expect(Text.grouped(999) == "999")
        #expect(Text.grouped(1_234_567) == "1,234,567")
        #expect(Text.grouped(-1000) == "-1,000")
    }

    @Test func `times have the unit that fits`() {
        #expect(Text.time(.microseconds(15_340)) == "15.3 ms")
        #expect(Text.time(.milliseconds(2500)) == "2.50 s")
        #expect(Text.seconds(.seconds(4)) == "4 s")
        #expect(Text.seconds(.milliseconds(1500)) == "1.5 s")
        #expect(Text.seconds(.milliseconds(500)) == "0.5 s")
        #expect(Text.seconds(.milliseconds(1)) == "1 ms")
        #expect(Text.seconds(.microseconds(20)) == "0.020 ms")
        #expect(Text.seconds(.zero) == "0 s")
    }

    @Test func `columns stand below one another`() {
        #expect(Text.table([["a", "b"], ["long", "1"]], rightAligned: [1]) == ["a      b", "long   1"])
    }
}

/// Lines that the demo's processes tell each other.
@Suite struct ReportLineTests {
    @Test(arguments: [
        WindowEntry.asked(at: 1), .open(at: 2, token: 3, drained: 4), .closed(at: 5), .failed("no way, at all"),
    ])
    func `a window's entry survives its line`(entry: WindowEntry) {
        #expect(WindowEntry(line: entry.line) == entry)
    }

    @Test(arguments: ["", "open 1 2", "asked x", "closed", "other 1"])
    func `other lines are no entries`(line: String) {
        #expect(WindowEntry(line: line) == nil)
        #expect(PassingReport(line: line) == nil)
    }

    @Test func `reports survive their lines`() {
        #expect(PassingReport(line: "passing 7 99") == PassingReport(token: 7, at: 99))
        #expect(GateReport(line: "state open 5")?.token == 5)
        #expect(GateReport(line: GateReport(.paused).line) == GateReport(.paused))
        #expect(GateReport(line: "passing 7 99") == nil)
    }
}
