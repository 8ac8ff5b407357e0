import ArgumentParser

/// Measures the recipes, each figure beside the parts that it is made of, in the same run.
@main
struct RecipeBenchmarks: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "RecipeBenchmarks",
        abstract: "Measures the recipes against a real ZooKeeper server on this machine.",
        discussion: "Absolute times say more about the machine than about the code; the ratios are what counts.",
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
