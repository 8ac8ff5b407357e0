internal import ZooKeeperTransport

/// One operation of a transaction: all of them happen, at one instant, or none.
public struct TransactionOperation: Sendable {
    enum Kind {
        case create(data: [UInt8], mode: CreateMode, acl: [ACL]?)
        case delete(version: Int32?)
        case setData(data: [UInt8], version: Int32?)
        case check(version: Int32?)
    }

    /// The znode that the operation is about.
    public let path: String
    let kind: Kind

    /// Creates a znode; container and TTL modes are not possible in a transaction.
    public static func create(
        _ path: String, data: [UInt8] = [], mode: CreateMode = .persistent, acl: [ACL]? = nil
    ) -> TransactionOperation {
        TransactionOperation(path: path, kind: .create(data: data, mode: mode, acl: acl))
    }

    /// Deletes a znode, if it has the version that is given.
    public static func delete(_ path: String, version: Int32? = nil) -> TransactionOperation {
        TransactionOperation(path: path, kind: .delete(version: version))
    }

    /// Writes a znode's data, if it has the version that is given.
    public static func setData(_ data: [UInt8], at path: String, version: Int32? = nil) -> TransactionOperation {
        TransactionOperation(path: path, kind: .setData(data: data, version: version))
    }

    /// Changes nothing; fails the transaction unless the znode stands and has the version that is given.
    public static func check(_ path: String, version: Int32? = nil) -> TransactionOperation {
        TransactionOperation(path: path, kind: .check(version: version))
    }

    var isCreate: Bool { if case .create = kind { true } else { false } }
    var isDelete: Bool { if case .delete = kind { true } else { false } }
}

/// What one operation of a successful transaction gave.
public struct TransactionResult: Sendable, Hashable {
    /// The created znode's path, with its number when it is sequential.
    public var path: String?
    /// The znode's stat after its data was set.
    public var stat: ZNodeStat?

    /// Makes a result, for tests.
    public init(path: String? = nil, stat: ZNodeStat? = nil) {
        self.path = path
        self.stat = stat
    }
}

extension CreateMode {
    /// The C client reads the answers to container and TTL creates in a transaction wrongly.
    func transportInTransaction() throws(ZooKeeperError) -> TransportCreateMode {
        switch kind {
        case .persistent, .ephemeral, .persistentSequential, .ephemeralSequential: return try transport()
        case .container, .persistentWithTTL, .persistentSequentialWithTTL:
            throw ZooKeeperError(
                .invalidArgument,
                message: "mode \(self) in a transaction; persistent and ephemeral znodes, sequential or not, can be")
        }
    }
}
