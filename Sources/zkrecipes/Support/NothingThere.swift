import ZooKeeper

/// The error of a command that has nothing to show, because its path is mistyped or no participant has ever run.
struct NothingThere: Error, CustomStringConvertible {
    var description: String

    /// Creates the error after checking whether the path exists.
    ///
    /// - Parameter absent: What is missing at the path, such as `no candidates`.
    init(_ absent: String, at path: String, _ client: ZooKeeperClient) async throws {
        let state = try await client.exists(at: path) == nil ? "does not exist" : "has \(absent)"
        let chroot = client.configuration.chroot.map { " below the chroot \($0)" } ?? ""
        description = "\(path)\(chroot) \(state): check the path and --connect"
    }
}
