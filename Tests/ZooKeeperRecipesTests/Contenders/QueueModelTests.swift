import Testing
import ZooKeeper
import ZooKeeperRecipes

@Suite struct QueueModelTests {
    @Test(arguments: [2, 3, 5, 9])
    func `whatever is lost, nobody is granted beside a writer, and everybody is granted in the end`(contenders: Int) {
        var moves = 0
        for seed in 1...UInt64(400) {
            var model = QueueModel(seed: seed, contenders: contenders)
            for _ in 0..<400 where !model.isDone { model.step() }
            model.faults = false
            var steps = 0
            while !model.isDone, steps < 20_000 {
                model.step()
                steps += 1
            }
            moves += model.moves
            let (isDone, left) = (model.isDone, model.nodes.keys.sorted())
            #expect(model.violations == [], "seed \(seed)")
            #expect(isDone, "seed \(seed) makes no progress")
            #expect(left == [], "seed \(seed)")
            if !isDone || !left.isEmpty { return }
        }
        // Places were handed over, too.
        #expect(moves > 5)
    }
}
