public import Testing
public import ZooKeeperTestKit

/// Gives the tests of a suite a server, or an ensemble, that they share.
///
/// It is started when the suite begins and ended when the suite ends; a suite that is filtered out starts nothing. Tests
/// find it in `TestServer.current` and `TestEnsemble.current`; they should each use a part of the tree of their own.
/// When it cannot be started the suite fails with the reason.
public struct ZooKeeperTrait: SuiteTrait, TestScoping {
    private let plan: EnsemblePlan?
    private let configuration: TestServerConfiguration

    init(plan: EnsemblePlan?, configuration: TestServerConfiguration) {
        self.plan = plan
        self.configuration = configuration
    }

    /// Runs the suite with what it asks for.
    public func provideScope(
        for test: Test, testCase: Test.Case?,
        performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        guard let plan = self.plan else {
            return try await withTestServer(configuration: self.configuration) { server in
                try await TestServer.$currentServer.withValue(server) { try await function() }
            }
        }
        try await withTestEnsemble(
            members: plan.members, proxiedQuorum: plan.proxiedQuorum, distinctAddresses: plan.distinctAddresses,
            configuration: plan.configuration
        ) { ensemble in
            try await TestEnsemble.$currentEnsemble.withValue(ensemble) {
                try await TestServer.$currentServer.withValue(ensemble[0]) { try await function() }
            }
        }
    }
}

extension Trait where Self == ZooKeeperTrait {
    /// A server for the suite's tests: `TestServer.current`.
    public static var zooKeeperServer: ZooKeeperTrait { .zooKeeperServer() }

    /// A server for the suite's tests: `TestServer.current`.
    ///
    /// - Parameter configuration: How to set it up.
    public static func zooKeeperServer(_ configuration: TestServerConfiguration = .init()) -> ZooKeeperTrait {
        ZooKeeperTrait(plan: nil, configuration: configuration)
    }

    /// An ensemble for the suite's tests: `TestEnsemble.current`.
    ///
    /// - Parameters:
    ///   - members: How many servers: 1, 3 or 5.
    ///   - proxiedQuorum: Whether they can be cut off from one another.
    ///   - distinctAddresses: Whether each member has a loopback address of its own.
    ///   - configuration: How to set up each member.
    public static func ensemble(
        members: Int, proxiedQuorum: Bool = false, distinctAddresses: Bool = false,
        configuration: TestServerConfiguration = .init()
    ) -> ZooKeeperTrait {
        let plan = EnsemblePlan(
            members: members, proxiedQuorum: proxiedQuorum, distinctAddresses: distinctAddresses,
            configuration: configuration)
        return ZooKeeperTrait(plan: plan, configuration: configuration)
    }
}
