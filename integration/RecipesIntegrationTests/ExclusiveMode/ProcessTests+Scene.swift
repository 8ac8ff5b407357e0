import Testing
import ZooKeeper
import ZooKeeperTestKit

@testable import zkrecipes_dev

/// Processors and operators in processes of their own, on a server, under a base path of their own.
final class ProcessScene: Sendable {
    let plan: DemoPlan
    let processors: [DemoProcessor]
    private let folder: TemporaryFolder

    /// Starts processors and waits until events pass in each.
    init(
        _ names: [String], on connectionString: String, base: String, sessionTimeout: Double = 2,
        taskSeconds: Double = 0.5, resumeDelay: Double = 1, rate: Int = 1000
    ) async throws {
        folder = try TemporaryFolder()
        plan = DemoPlan(
            connectionString: connectionString, sessionTimeout: sessionTimeout, rate: rate, taskSeconds: taskSeconds,
            resumeDelay: resumeDelay, folder: folder.path, base: base)
        let plan = plan
        processors = try names.map { try DemoProcessor(name: $0, generation: 1, plan: plan) }
        for processor in processors { try await processor.passing(after: 0) }
    }

    func window(_ number: Int) throws -> DemoOperator {
        try DemoOperator(number: number, fault: nil, plan: plan)
    }

    /// Ends the processors and says what all logs prove.
    func findings(_ windows: [DemoOperator]) async -> (evidence: DemoEvidence, findings: DemoFindings) {
        for processor in processors { await processor.process.kill() }
        let evidence = DemoEvidence(
            processors: processors.map { $0.evidence() }, windows: windows.map { $0.evidence() })
        return (evidence, DemoFindings(evidence))
    }
}

/// Starts the program under test.
func program(_ arguments: String..., connect: String? = nil) throws -> TestProcess {
    try TestProcess(
        TestProcess.path(ofProduct: "zkrecipes"), arguments: arguments,
        environment: connect.map { ["ZOOKEEPER_CONNECT": $0] } ?? [:])
}

extension TestProcess {
    /// All that it has written, when it has ended.
    func output() async throws -> [String] {
        var all: [String] = []
        for try await line in lines { all.append(line) }
        return all
    }
}
