internal import ZooKeeperTransport

/// One entry of a znode's access control list: who may do what.
public struct ACL: Sendable, Hashable {
    /// What an identity may do with a znode.
    public struct Permissions: OptionSet, Sendable, Hashable {
        /// The server's bits.
        public let rawValue: Int32

        /// Makes permissions from the server's bits.
        public init(rawValue: Int32) {
            self.rawValue = rawValue
        }

        /// Read the data and list the children.
        public static let read = Permissions(rawValue: 1)
        /// Write the data.
        public static let write = Permissions(rawValue: 2)
        /// Create children.
        public static let create = Permissions(rawValue: 4)
        /// Delete children.
        public static let delete = Permissions(rawValue: 8)
        /// Set the access control list.
        public static let admin = Permissions(rawValue: 16)
        /// Everything.
        public static let all: Permissions = [.read, .write, .create, .delete, .admin]
    }

    /// What the identity may do.
    public var permissions: Permissions
    /// How the identity proves itself: `world`, `auth`, `digest`, `ip`, `x509`, `sasl`.
    public var scheme: String
    /// The identity, in the form its scheme wants.
    public var id: String

    /// Makes an entry.
    public init(permissions: Permissions, scheme: String, id: String) {
        self.permissions = permissions
        self.scheme = scheme
        self.id = id
    }

    /// Everybody may do everything.
    public static let open = ACL(permissions: .all, scheme: "world", id: "anyone")
    /// Everybody may read.
    public static let readOnly = ACL(permissions: .read, scheme: "world", id: "anyone")
    /// Whoever the creating session has authenticated as may do everything.
    public static let creatorAll = ACL(permissions: .all, scheme: "auth", id: "")

    init(_ acl: TransportACL) {
        self.init(permissions: Permissions(rawValue: acl.permissions), scheme: acl.scheme, id: acl.id)
    }

    var transport: TransportACL {
        TransportACL(permissions: permissions.rawValue, scheme: scheme, id: id)
    }
}
