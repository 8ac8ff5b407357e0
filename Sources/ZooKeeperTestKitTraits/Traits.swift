public import Testing
public import ZooKeeperTestKit

/// A suite trait that gives the tests of a suite a shared server or ensemble.
///
/// The server or ensemble starts when the suite starts and ends when the suite ends. A suite that is filtered out
/// starts nothing. Tests access it as `TestServer.current` and `TestEnsemble.current`. Each test should use its own
/// part of the tree. If the server or ensemble cannot be started, the suite fails with the reason.
public struct ZooKeeperTrait: SuiteTrait, TestScoping {
    private let plan: EnsemblePlan?
    private let configuration: TestServerConfiguration

    init(plan: EnsemblePlan?, configuration: TestServerConfiguration) {
        self.plan = plan
        self.configuration = configuration
    }

    /// Runs the suite with its server or ensemble.
    ///
    /// - Throws: The errors of the suite; `TestKitError` if the server or ensemble cannot be started.
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
    /// A trait that gives the tests of a suite a server: `TestServer.current`.
    public static var zooKeeperServer: ZooKeeperTrait { .zooKeeperServer() }

    /// Returns a trait that gives the tests of a suite a server: `TestServer.current`.
    ///
    /// - Parameter configuration: The configuration of the server.
    public static func zooKeeperServer(_ configuration: TestServerConfiguration = .init()) -> ZooKeeperTrait {
        ZooKeeperTrait(plan: nil, configuration: configuration)
    }

    /// Returns a trait that gives the tests of a suite an ensemble: `TestEnsemble.current`.
    ///
    /// - Parameters:
    ///   - members: The number of servers, from 1 to 5.
    ///   - proxiedQuorum: Whether the servers reach one another through proxies, so that they can be partitioned.
    ///   - distinctAddresses: Whether each member has its own loopback address.
    ///   - configuration: The configuration of each member.
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
