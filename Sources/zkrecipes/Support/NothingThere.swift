import ZooKeeper

/// What a command fails with that has nothing to show, because its path is mistyped or because nothing runs.
struct NothingThere: Error, CustomStringConvertible {
    var description: String

    /// - Parameter absent: What was looked for, such as `no candidates`.
    init(_ absent: String, at path: String, _ client: ZooKeeperClient) async throws {
        let state = try await client.exists(at: path) == nil ? "does not exist" : "has \(absent)"
        let chroot = client.configuration.chroot.map { " below the chroot \($0)" } ?? ""
        description = "nothing is there: \(path)\(chroot) \(state)"
    }
}
