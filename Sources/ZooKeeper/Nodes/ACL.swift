internal import ZooKeeperTransport

/// One entry of the access control list of a znode: an identity and its permissions.
public struct ACL: Sendable, Hashable {
    /// The permissions of an identity on a znode.
    public struct Permissions: OptionSet, Sendable, Hashable {
        /// The bits as the server defines them.
        public let rawValue: Int32

        /// Creates permissions from the bits of the server.
        public init(rawValue: Int32) {
            self.rawValue = rawValue
        }

        /// Permission to read the data and list the children.
        public static let read = Permissions(rawValue: 1)
        /// Permission to write the data.
        public static let write = Permissions(rawValue: 2)
        /// Permission to create children.
        public static let create = Permissions(rawValue: 4)
        /// Permission to delete children.
        public static let delete = Permissions(rawValue: 8)
        /// Permission to set the access control list.
        public static let admin = Permissions(rawValue: 16)
        /// All permissions.
        public static let all: Permissions = [.read, .write, .create, .delete, .admin]
    }

    /// The permissions of the identity.
    public var permissions: Permissions
    /// The authentication scheme of the identity: `world`, `auth`, `digest`, `ip`, `x509`, `sasl`.
    public var scheme: String
    /// The identity, in the format of its scheme.
    public var id: String

    /// Creates an entry.
    public init(permissions: Permissions, scheme: String, id: String) {
        self.permissions = permissions
        self.scheme = scheme
        self.id = id
    }

    /// All permissions for every client.
    public static let openUnsafe = ACL(permissions: .all, scheme: "world", id: "anyone")
    /// Read permission for every client.
    public static let readUnsafe = ACL(permissions: .read, scheme: "world", id: "anyone")
    /// All permissions for the identities that the creating session has authenticated as.
    public static let creatorAll = ACL(permissions: .all, scheme: "auth", id: "")

    init(_ acl: TransportACL) {
        self.init(permissions: Permissions(rawValue: acl.permissions), scheme: acl.scheme, id: acl.id)
    }

    var transport: TransportACL {
        TransportACL(permissions: permissions.rawValue, scheme: scheme, id: id)
    }
}
