internal import ZooKeeperTransport

/// The metadata of a znode.
public struct ZNodeStat: Sendable, Hashable {
    /// The transaction that created the znode; it distinguishes the znode from a later one at the same path.
    public var czxid: ZXID
    /// The transaction that last wrote the data.
    public var mzxid: ZXID
    /// The transaction that last added or removed a child.
    public var pzxid: ZXID
    /// The time when the znode was created, by the wall clock of the ensemble's leader.
    public var ctime: Timestamp
    /// The time when the data was last written, by the wall clock of the ensemble's leader.
    public var mtime: Timestamp
    /// The number of times that the data was written, starting at 0.
    public var dataVersion: Int32
    /// The number of times that a child was added or removed.
    public var childrenVersion: Int32
    /// The number of times that the access control list was set.
    public var aclVersion: Int32
    /// The session that an ephemeral znode belongs to; `nil` if the znode is not ephemeral.
    ///
    /// It is also `nil` for container and TTL znodes, which the server marks in the same field.
    public var ephemeralOwner: SessionID?
    /// The length of the data in bytes.
    public var dataLength: Int
    /// The number of children.
    public var childrenCount: Int

    /// Creates a stat from its fields, for tests.
    public init(
        czxid: ZXID,
        mzxid: ZXID,
        pzxid: ZXID,
        ctime: Timestamp = Timestamp(millisecondsSince1970: 0),
        mtime: Timestamp = Timestamp(millisecondsSince1970: 0),
        dataVersion: Int32 = 0,
        childrenVersion: Int32 = 0,
        aclVersion: Int32 = 0,
        ephemeralOwner: SessionID? = nil,
        dataLength: Int = 0,
        childrenCount: Int = 0
    ) {
        self.czxid = czxid
        self.mzxid = mzxid
        self.pzxid = pzxid
        self.ctime = ctime
        self.mtime = mtime
        self.dataVersion = dataVersion
        self.childrenVersion = childrenVersion
        self.aclVersion = aclVersion
        self.ephemeralOwner = ephemeralOwner
        self.dataLength = dataLength
        self.childrenCount = childrenCount
    }

    init(_ stat: TransportStat) {
        self.init(
            czxid: ZXID(rawValue: stat.czxid),
            mzxid: ZXID(rawValue: stat.mzxid),
            pzxid: ZXID(rawValue: stat.pzxid),
            ctime: Timestamp(millisecondsSince1970: stat.ctime),
            mtime: Timestamp(millisecondsSince1970: stat.mtime),
            dataVersion: stat.version,
            childrenVersion: stat.cversion,
            aclVersion: stat.aversion,
            ephemeralOwner: SessionID(ephemeralOwner: stat.ephemeralOwner),
            dataLength: Int(stat.dataLength),
            childrenCount: Int(stat.numChildren)
        )
    }
}

extension SessionID {
    /// Creates the ID of the owner of an ephemeral znode, or `nil` for other znodes.
    ///
    /// Containers have the smallest number, and TTL znodes have 0xff in the highest byte. Source: EphemeralType of the
    /// server, with extended types enabled.
    init?(ephemeralOwner: Int64) {
        guard ephemeralOwner != 0, ephemeralOwner != Int64.min else { return nil }
        guard UInt64(bitPattern: ephemeralOwner) >> 56 != 0xff else { return nil }
        self.init(rawValue: ephemeralOwner)
    }
}
