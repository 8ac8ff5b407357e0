internal import ZooKeeperTransport

/// One operation of a transaction: either all operations are executed, at one instant, or none.
public struct TransactionOperation: Sendable {
    enum Kind {
        case create(data: [UInt8], mode: CreateMode, acl: [ACL]?)
        case delete(version: Int32?)
        case setData(data: [UInt8], version: Int32?)
        case check(version: Int32?)
    }

    /// The path of the znode that the operation applies to.
    public let path: String
    let kind: Kind

    /// Creates a znode.
    ///
    /// Container and TTL modes are not allowed in a transaction.
    ///
    /// - Parameters:
    ///   - path: The path of the znode. In a sequential mode, the server appends ten digits.
    ///   - data: The data of the znode. Default: empty.
    ///   - mode: The lifetime of the znode, and whether its name is numbered. Default: `.persistent`.
    ///   - acl: The access control list; `nil` uses ``ZooKeeperClientConfiguration/acl``. Default: `nil`.
    public static func create(
        _ path: String, data: [UInt8] = [], mode: CreateMode = .persistent, acl: [ACL]? = nil
    ) -> TransactionOperation {
        TransactionOperation(path: path, kind: .create(data: data, mode: mode, acl: acl))
    }

    /// Deletes a znode.
    ///
    /// - Parameters:
    ///   - path: The path of the znode.
    ///   - version: The data version that the znode must have; `nil` deletes without this check. Default: `nil`.
    public static func delete(_ path: String, version: Int32? = nil) -> TransactionOperation {
        TransactionOperation(path: path, kind: .delete(version: version))
    }

    /// Replaces the data of a znode.
    ///
    /// - Parameters:
    ///   - data: The new data of the znode.
    ///   - path: The path of the znode.
    ///   - version: The data version that the znode must have; `nil` writes without this check. Default: `nil`.
    public static func setData(_ data: [UInt8], at path: String, version: Int32? = nil) -> TransactionOperation {
        TransactionOperation(path: path, kind: .setData(data: data, version: version))
    }

    /// Checks that a znode exists and has a version; otherwise the transaction fails.
    ///
    /// The operation changes nothing.
    ///
    /// - Parameters:
    ///   - path: The path of the znode.
    ///   - version: The data version that the znode must have; `nil` only checks that it exists. Default: `nil`.
    public static func check(_ path: String, version: Int32? = nil) -> TransactionOperation {
        TransactionOperation(path: path, kind: .check(version: version))
    }

    var isCreate: Bool { if case .create = kind { true } else { false } }
    var isDelete: Bool { if case .delete = kind { true } else { false } }
}

/// The result of one operation of a successful transaction.
public struct TransactionResult: Sendable, Hashable {
    /// The path of the created znode, including the number of a sequential znode; `nil` if the operation created none.
    public var path: String?
    /// The stat of the znode after its data was written; `nil` for other operations.
    public var stat: ZNodeStat?

    /// Creates a result, for tests.
    public init(path: String? = nil, stat: ZNodeStat? = nil) {
        self.path = path
        self.stat = stat
    }
}

extension CreateMode {
    /// Converts the mode for use in a transaction.
    ///
    /// The C client parses the answers to container and TTL creates in a transaction incorrectly.
    func transportInTransaction() throws(ZooKeeperError) -> TransportCreateMode {
        switch kind {
        case .persistent, .ephemeral, .persistentSequential, .ephemeralSequential: return try transport()
        case .container, .persistentWithTTL, .persistentSequentialWithTTL:
            throw ZooKeeperError(
                .invalidArgument,
                message: "mode \(self) is not allowed in a transaction; use a persistent or ephemeral mode")
        }
    }
}
