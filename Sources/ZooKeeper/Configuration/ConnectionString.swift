/// The parts of `host:port,host:port/chroot`.
struct ConnectionString {
    var servers: [ServerAddress] = []
    var chroot: ZNodePath?

    init(_ text: String) throws(ZooKeeperError) {
        throw ZooKeeperError(.invalidConfiguration, message: "not parsed yet: \(text)")
    }
}
