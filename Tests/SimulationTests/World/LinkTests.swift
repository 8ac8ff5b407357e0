import Testing
import ZooKeeper
import ZooKeeperSimulator

@Suite struct LinkTests {
    /// Runs a world with one link; gives what had arrived by each instant that was asked for.
    private func arrivals(
        seed: UInt64 = 1, latency: Latency = Latency(usual: .milliseconds(1) ... .milliseconds(50)),
        _ script: @escaping @Sendable (Simulation, Link<Int>) -> Void
    ) async throws -> [Int] {
        try await onSimulationThread {
            let simulation = Simulation(seed: seed)
            var arrived: [Int] = []
            let link = Link<Int>(in: simulation, latency: latency) { arrived.append($0) }
            script(simulation, link)
            simulation.run(until: simulation.now + .seconds(10))
            return arrived
        }
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func `messages arrive in their order, however long each takes`(seed: UInt64) async throws {
        let arrived = try await arrivals(seed: seed) { simulation, link in
            for number in 0..<50 { simulation.after(.milliseconds(number)) { link.send(number) } }
        }
        #expect(arrived == Array(0..<50))
    }

    @Test func `what is held arrives when it is released, in its order`() async throws {
        let arrived = try await arrivals { simulation, link in
            link.send(1)
            simulation.after(.seconds(1)) {
                link.hold()
                link.send(2)
                link.send(3)
            }
            simulation.after(.seconds(5)) {
                link.send(4)
                link.release()
                link.send(5)
            }
        }
        #expect(arrived == [1, 2, 3, 4, 5])
    }

    @Test func `what is held and then cut is lost`() async throws {
        let arrived = try await arrivals { simulation, link in
            link.send(1)
            simulation.after(.seconds(1)) {
                link.hold()
                link.send(2)
            }
            simulation.after(.seconds(5)) {
                link.cut()
                link.release()
                link.send(3)
            }
        }
        #expect(arrived == [1])
    }
}
