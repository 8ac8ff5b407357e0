import ArgumentParser

/// Measures the recipes, and in the same run the parts that each figure consists of.
@main
struct RecipeBenchmarks: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "RecipeBenchmarks",
        abstract: "Measures the recipes against a real ZooKeeper server on this machine.",
        discussion: "Absolute times depend mainly on the machine; compare the ratios.",
        subcommands: [
            All.self, GateBenchmark.self, WindowBenchmark.self, ClientBenchmark.self, PartitionBenchmark.self,
            MemoryBenchmark.self,
        ],
        defaultSubcommand: All.self
    )

    struct All: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Everything, one after the other.")

        func run() async throws {
            try await GateBenchmark.parse([]).run()
            try await WindowBenchmark.parse([]).run()
            try await ClientBenchmark.parse([]).run()
            try await PartitionBenchmark.parse([]).run()
        }
    }
}
