// swift-tools-version: 6.2

import PackageDescription

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),  // SE-0335
    .enableUpcomingFeature("MemberImportVisibility"),  // SE-0444
    .enableUpcomingFeature("InternalImportsByDefault"),  // SE-0409
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),  // SE-0461
    .enableUpcomingFeature("InferIsolatedConformances"),  // SE-0470
    .treatAllWarnings(as: .error),  // SE-0480
]

/// The targets next to the C library also mark every unsafe pointer use. SE-0458
let strictSettings: [SwiftSetting] = settings + [.strictMemorySafety()]

let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let metrics = Target.Dependency.product(name: "Metrics", package: "swift-metrics")
let metricsTests = Target.Dependency.product(name: "MetricsTestKit", package: "swift-metrics")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let signals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let tracing = Target.Dependency.product(
    name: "Tracing", package: "swift-distributed-tracing", condition: .when(traits: ["Tracing"]))
let configuration = Target.Dependency.product(
    name: "Configuration", package: "swift-configuration", condition: .when(traits: ["Configuration"]))
let collections = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let persistentCollections = Target.Dependency.product(name: "HashTreeCollections", package: "swift-collections")
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let heap = Target.Dependency.product(name: "HeapModule", package: "swift-collections")

/// A program to start from, with a page that says what it shows.
func example(_ name: String) -> Target {
    .executableTarget(
        name: name,
        dependencies: ["ZooKeeper", "ZooKeeperRecipes", "ZooKeeperScheduling", logging, lifecycle, signals],
        path: "Examples/\(name)",
        exclude: ["README.md"],
        swiftSettings: settings
    )
}

let package = Package(
    name: "swift-zookeeper",
    products: [
        .library(name: "ZooKeeper", targets: ["ZooKeeper"]),
        .library(name: "ZooKeeperRecipes", targets: ["ZooKeeperRecipes"]),
        .library(name: "ZooKeeperScheduling", targets: ["ZooKeeperScheduling"]),
        .library(name: "ZooKeeperTestKit", targets: ["ZooKeeperTestKit"]),
        .library(name: "ZooKeeperTestKitTraits", targets: ["ZooKeeperTestKitTraits"]),
        .executable(name: "zkrecipes", targets: ["zkrecipes"]),
        .executable(name: "zkrecipes-dev", targets: ["zkrecipes-dev"]),
    ],
    traits: [
        .trait(name: "Tracing", description: "Spans for each operation through swift-distributed-tracing."),
        .trait(name: "Configuration", description: "Configurations read through swift-configuration."),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-distributed-tracing", from: "1.7.0"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: []),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/swhitty/FlyingFox", from: "0.27.1"),
        .package(url: "https://github.com/swiftlang/swift-docc-plugin", from: "1.5.0"),
    ],
    targets: [
        // The client, in layers: each imports only what stands above it in this list.
        .systemLibrary(
            name: "CZooKeeper",
            providers: [.apt(["libzookeeper-mt-dev"])]
        ),
        // The seam between the client and what carries its requests.
        .target(name: "ZooKeeperTransport", swiftSettings: strictSettings),
        .target(
            name: "ZooKeeperBridge",
            dependencies: ["CZooKeeper", "ZooKeeperTransport", logging],
            swiftSettings: strictSettings
        ),
        .target(
            name: "ZooKeeper",
            dependencies: [
                "ZooKeeperBridge", "ZooKeeperTransport", logging, metrics, lifecycle, collections, heap,
                tracing, configuration,
            ],
            swiftSettings: strictSettings
        ),
        .target(
            name: "ZooKeeperRecipes",
            dependencies: ["ZooKeeper", logging, metrics, lifecycle, collections, persistentCollections],
            path: "Recipes",
            exclude: ["README.md", "Scheduling"],
            swiftSettings: settings
        ),
        // Apart from the recipes, because it needs Foundation for its calendars.
        .target(
            name: "ZooKeeperScheduling",
            dependencies: ["ZooKeeper", "ZooKeeperRecipes", logging, lifecycle],
            path: "Recipes/Scheduling",
            swiftSettings: settings
        ),
        .target(
            name: "ZooKeeperTestKit",
            dependencies: ["ZooKeeper", "SystemSupport"],
            swiftSettings: settings
        ),
        // Apart from the test kit, because programs that start servers should not link Swift Testing.
        .target(
            name: "ZooKeeperTestKitTraits",
            dependencies: ["ZooKeeperTestKit"],
            swiftSettings: settings
        ),
        // Threads, plain TCP connections, and what a process is started with, for the test kit and the command line.
        .target(name: "SystemSupport", swiftSettings: settings),
        // What happens between fork and exec, for the commands that zkrecipes runs.
        .target(name: "CommandGuard"),
        .target(
            name: "CommandLineSupport",
            dependencies: ["SystemSupport", "ZooKeeper", logging, metrics, lifecycle, argumentParser],
            swiftSettings: settings
        ),
        // The command line for production links no test code: the commands that start servers are in a program of their own.
        .executableTarget(
            name: "zkrecipes",
            dependencies: [
                "CommandGuard", "CommandLineSupport", "SystemSupport", "ZooKeeper", "ZooKeeperRecipes",
                "ZooKeeperScheduling", logging, lifecycle, argumentParser,
                .product(name: "FlyingFox", package: "FlyingFox"), .product(name: "FlyingSocks", package: "FlyingFox"),
            ],
            exclude: ["Dashboard/README.md"],
            resources: [.embedInCode("Dashboard/Page")],
            swiftSettings: settings
        ),
        .executableTarget(
            name: "zkrecipes-dev",
            dependencies: [
                "CommandLineSupport", "ZooKeeper", "ZooKeeperRecipes", "ZooKeeperTestKit", logging, lifecycle,
                argumentParser,
            ],
            swiftSettings: settings
        ),
        example("DailyExclusiveTask"),
        example("FailoverScheduler"),
        example("FirstProgram"),
        example("LeaderElection"),
        example("LeaderGatedTasks"),
        example("LockWithLossSignal"),
        example("PartitionWorkers"),
        // The documentation's blocks of code: compiled, never run. `make lint` holds the pages to them.
        .target(
            name: "DocumentationSnippets",
            dependencies: [
                "ZooKeeper", "ZooKeeperRecipes", "ZooKeeperScheduling", "ZooKeeperTestKit", logging, lifecycle,
            ],
            path: "Examples/Snippets",
            swiftSettings: settings
        ),

        // No server, no sleep.
        .testTarget(
            name: "ZooKeeperBridgeTests", dependencies: ["ZooKeeperBridge", "ZooKeeperTransport", logging],
            swiftSettings: settings),
        .testTarget(
            name: "ZooKeeperTests",
            dependencies: [
                "ZooKeeper", "ZooKeeperTransport", logging, metrics, configuration, tracing, metricsTests,
                .product(name: "ServiceLifecycleTestKit", package: "swift-service-lifecycle"),
                .product(
                    name: "InMemoryTracing", package: "swift-distributed-tracing",
                    condition: .when(traits: ["Tracing"])),
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "ZooKeeperRecipesTests",
            dependencies: [
                "ZooKeeperRecipes", "ZooKeeperScheduling", "ZooKeeper", "ZooKeeperTransport", logging, metrics,
                metricsTests,
            ],
            swiftSettings: settings
        ),
        // A world in virtual time, and the checkers that judge what was done in it or beside a real server.
        .target(
            name: "ZooKeeperSimulator",
            dependencies: ["SystemSupport", "ZooKeeper", "ZooKeeperTransport", logging, metrics, lifecycle, heap],
            path: "Tests/Simulator",
            swiftSettings: settings
        ),
        // The recipes in simulated worlds: what they do there, and the program that runs it for `make simulate`.
        .target(
            name: "Simulations",
            dependencies: [
                "ZooKeeper", "ZooKeeperRecipes", "ZooKeeperScheduling", "ZooKeeperSimulator", "ZooKeeperTransport",
                logging,
            ],
            path: "Tests/Simulations",
            swiftSettings: settings
        ),
        .executableTarget(
            name: "simulate",
            dependencies: [
                "Simulations", "ZooKeeperSimulator", argumentParser,
            ],
            path: "Tests/Simulate",
            swiftSettings: settings
        ),
        .testTarget(
            name: "SimulationTests",
            dependencies: [
                "Simulations", "simulate", "ZooKeeperSimulator", "ZooKeeperTestKit", "ZooKeeper", "ZooKeeperTransport",
                "ZooKeeperRecipes", "ZooKeeperScheduling", logging,
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "ProgramTests",
            dependencies: [
                "CommandLineSupport", "SystemSupport", "zkrecipes", "zkrecipes-dev", "ZooKeeper", "ZooKeeperRecipes",
                "ZooKeeperScheduling", "ZooKeeperTestKit", metrics, argumentParser,
                .product(name: "FlyingFox", package: "FlyingFox"), .product(name: "FlyingSocks", package: "FlyingFox"),
            ],
            swiftSettings: settings
        ),

        // Against real servers.
        .executableTarget(
            name: "HoldServer",
            dependencies: ["ZooKeeperTestKit"],
            path: "integration/Fixtures/HoldServer",
            swiftSettings: settings
        ),
        .testTarget(
            name: "ZooKeeperIntegrationTests",
            dependencies: [
                "SystemSupport", "ZooKeeper", "ZooKeeperBridge", "ZooKeeperSimulator", "ZooKeeperTestKit",
                "ZooKeeperTestKitTraits", "ZooKeeperTransport", "HoldServer", logging, lifecycle, metrics,
            ],
            path: "integration/ZooKeeperIntegrationTests",
            swiftSettings: settings
        ),
        .testTarget(
            name: "RecipesIntegrationTests",
            dependencies: [
                "ZooKeeper", "ZooKeeperRecipes", "ZooKeeperScheduling", "ZooKeeperSimulator", "ZooKeeperTestKit",
                "ZooKeeperTestKitTraits", "zkrecipes", "zkrecipes-dev", "ToolkitPeer", logging, lifecycle, metricsTests,
                "SystemSupport",
            ],
            path: "integration/RecipesIntegrationTests",
            swiftSettings: settings
        ),
        .testTarget(
            name: "ExamplesIntegrationTests",
            dependencies: [
                "ZooKeeper", "ZooKeeperRecipes", "ZooKeeperScheduling", "ZooKeeperTestKit", "ZooKeeperTestKitTraits",
                "DailyExclusiveTask", "FailoverScheduler", "FirstProgram", "LeaderElection", "LeaderGatedTasks",
                "LockWithLossSignal", "PartitionWorkers",
            ],
            path: "integration/ExampleTests",
            swiftSettings: settings
        ),
        // Beside Apache Curator and kazoo: this package's peer, and the tests that drive all three.
        .executableTarget(
            name: "ToolkitPeer",
            dependencies: ["SystemSupport", "ZooKeeper", "ZooKeeperRecipes", "ZooKeeperTestKit", logging],
            path: "integration/Interop/toolkit",
            swiftSettings: settings
        ),
        .testTarget(
            name: "InteropIntegrationTests",
            dependencies: [
                "ZooKeeper", "ZooKeeperRecipes", "ZooKeeperSimulator", "ZooKeeperTestKit", "ZooKeeperTestKitTraits",
                "ToolkitPeer",
            ],
            path: "integration/InteropTests",
            swiftSettings: settings
        ),
    ]
)
