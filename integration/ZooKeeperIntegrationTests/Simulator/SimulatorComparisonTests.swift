import Testing
import ZooKeeper
import ZooKeeperSimulator
import ZooKeeperTestKit
import ZooKeeperTestKitTraits
import ZooKeeperTransport

/// No container is taken away in a test's time: when that happens is the server's own choice.
private let withoutReaping: TestServerConfiguration = {
    var configuration = TestServerConfiguration()
    configuration.containerCheckInterval = .seconds(3600)
    return configuration
}()

/// Holds the simulated ensemble and client library against the real ones.
///
/// The same operations of three sessions run through the transport's seam on both sides; what each session was told has to
/// be the same, but for what ``SequenceTranscript`` leaves out.
@Suite(.serialized, .zooKeeperServer(withoutReaping), .timeLimit(.minutes(5)))
struct SimulatorComparisonTests {
    @Test func `one simulated server answers 10,000 operations as a real one does`() async throws {
        let address = TestServer.current.connectionString
        let world = RealWorld([String](repeating: address, count: RandomSequence.slots))
        let told = try await compare((1...8).map { RandomSequence(seed: $0, steps: 1100) }, with: world)
        #expect(told.operations >= 10_000)
        #expect(told.codes.isSuperset(of: [0, -2, -8, -101, -102, -103, -108, -110, -111, -114, -121]))
        for kind in [TransportWatchEvent.Kind.created, .deleted, .dataChanged, .childrenChanged] {
            #expect(told.events[kind, default: 0] > 50, "\(kind)")
        }
    }

    @Test func `lost connections are regained with the same events and answers`() async throws {
        let world = try RealWorld(proxied: TestServer.current)
        let sequences = (101...104).map { RandomSequence(seed: $0, steps: 500, hasLosses: true) }
        let told = try await compare(sequences, with: world)
        await world.close()
        #expect(told.losses >= 40)
    }

    @Test func `three simulated servers answer as real ones do, each session on another`() async throws {
        try await withTestEnsemble(members: 3, configuration: withoutReaping) { ensemble in
            let sequences = (201...203).map { RandomSequence(seed: $0, steps: 700, syncsBeforeReads: true) }
            let world = RealWorld(ensemble.members.map(\.connectionString))
            let wakers = try await Self.keepAwake(world)
            let told = try await compare(sequences, with: world, servers: 3)
            for waker in wakers { try await waker.end() }
            #expect(told.operations >= 3_000)
        }
    }

    /// Opens a session on each server that does nothing but ping.
    ///
    /// A server of version 3.8.0 sometimes sleeps over a commit until the next request (ZOOKEEPER-4537), and the C client
    /// does not ping while it waits for an answer: a session that is alone on its server would lose its connection.
    private static func keepAwake(_ world: RealWorld) async throws -> [SequenceSession] {
        var wakers: [SequenceSession] = []
        for slot in 0..<RandomSequence.slots { wakers.append(try await SequenceSession(in: world, slot: slot)) }
        return wakers
    }

    // MARK: Both sides

    /// What the sequences met on the real side.
    private struct Told {
        var operations = 0
        var losses = 0
        var codes: Set<ReplyCode> = []
        var events: [TransportWatchEvent.Kind: Int] = [:]
    }

    private func compare(_ sequences: [RandomSequence], with world: RealWorld, servers: Int = 1) async throws -> Told {
        var told = Told()
        for sequence in sequences {
            let real = try await sequence.run(in: world)
            let simulated = try await Self.simulate(sequence, servers: servers)
            #expect(real.count == simulated.count && !real.isEmpty)
            for (number, pair) in zip(real, simulated).enumerated() {
                if let difference = SequenceTranscript.difference(pair.0, pair.1) {
                    Issue.record("seed \(sequence.seed), session \(number), \(difference)")
                }
            }
            told.operations += sequence.operations
            told.losses += sequence.steps.count { if case .cut = $0 { true } else { false } }
            for transcript in real {
                told.codes.formUnion(transcript.codes)
                told.events.merge(transcript.events, uniquingKeysWith: +)
            }
        }
        return told
    }

    /// Runs the sequence in a simulated world.
    private static func simulate(_ sequence: RandomSequence, servers: Int) async throws -> [SequenceTranscript] {
        try await onSimulationThread {
            let simulation = Simulation(seed: sequence.seed)
            let settings = EnsembleSettings(
                servers: servers, containerLife: .seconds(1_000_000) ... .seconds(1_000_001))
            let ensemble = SimulatedEnsemble(in: simulation, settings: settings)
            simulation.run(until: simulation.now + .seconds(60)) {
                !(0..<servers).allSatisfy { ensemble.isServing($0) }
            }
            let world = SimulatedWorld(ensemble)
            let driver = SimulatedProcess("driver", in: simulation)
            let outcome = OneShot<Result<[SequenceTranscript], any Error>>()
            driver.start {
                do { outcome.set(.success(try await sequence.run(in: world))) } catch { outcome.set(.failure(error)) }
            }
            simulation.run(until: simulation.now + .seconds(100_000)) { driver.isRunning }
            guard let result = outcome.value else {
                throw TestKitError(.noResponse, simulation.breakdown ?? "the simulated sequence did not end")
            }
            return try result.get()
        }
    }
}
