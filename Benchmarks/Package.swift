// swift-tools-version: 6.2

import PackageDescription

// A package of its own, so that users of the library never resolve what only measurements need.
let package = Package(
    name: "zkbench",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "swift-zookeeper", path: ".."),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    ],
    targets: [
        .executableTarget(
            name: "zkbench",
            dependencies: [
                .product(name: "ZooKeeper", package: "swift-zookeeper"),
                .product(name: "ZooKeeperRecipes", package: "swift-zookeeper"),
                .product(name: "ZooKeeperScheduling", package: "swift-zookeeper"),
                .product(name: "ZooKeeperTestKit", package: "swift-zookeeper"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Histogram", package: "hdrhistogram-swift"),
            ]
        )
    ]
)
