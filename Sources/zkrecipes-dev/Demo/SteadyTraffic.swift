import CommandLineSupport
import ZooKeeper
import ZooKeeperTestKit

/// The requests that processors sent while no window was open.
struct SteadyTraffic: Sendable, Equatable, Encodable {
    var packets: Int
    var seconds: Double
    var processors: Int

    var perProcessorAndSecond: Double { Double(packets) / seconds / Double(processors) }
}

/// Reads the number of packets that servers have received.
struct ServerCounter: Sendable {
    private var addresses: [ServerAddress]

    /// Creates a counter; `nil` if the connection string is invalid.
    init?(connectionString: String) {
        guard let configuration = try? ZooKeeperClientConfiguration(connectionString: connectionString) else {
            return nil
        }
        addresses = configuration.servers
    }

    /// Counts the requests during a time.
    ///
    /// - Returns: `nil` if the servers do not report the number, for example because `mntr` is not enabled.
    func measure(for time: Duration, processors: Int) async throws -> SteadyTraffic? {
        let clock = ContinuousClock()
        guard let before = await packets() else { return nil }
        let began = clock.now
        try await Task.sleep(for: time)
        guard let after = await packets() else { return nil }
        let seconds = (clock.now - began) / .seconds(1)
        // Each `mntr` request counts as a packet, too.
        return SteadyTraffic(packets: after - before - addresses.count, seconds: seconds, processors: processors)
    }

    private func packets() async -> Int? {
        var sum = 0
        for address in addresses {
            guard let answer = try? await fourLetterWord("mntr", host: address.host, port: address.port) else {
                return nil
            }
            let line = answer.split(separator: "\n").first { $0.hasPrefix("zk_packets_received\t") }
            guard let number = line?.split(separator: "\t").last.flatMap({ Int($0) }) else { return nil }
            sum += number
        }
        return sum
    }
}
