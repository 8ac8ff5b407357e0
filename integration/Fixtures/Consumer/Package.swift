// swift-tools-version: 6.2

import PackageDescription

// What a user's package looks like: no flag, no setting, nothing but the dependency.
let package = Package(
    name: "Consumer",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "swift-zookeeper", path: "../../..")
    ],
    targets: [
        .executableTarget(
            name: "Consumer",
            dependencies: [.product(name: "ZooKeeperRecipes", package: "swift-zookeeper")]
        )
    ]
)
