import FoundationEssentials
package import ZooKeeper

extension ACL.Permissions {
    /// The permissions in the order in which ZooKeeper's own command line writes them.
    private static let names: [(letter: Character, permission: Self, words: String)] = [
        ("c", .create, "create children"), ("d", .delete, "delete children"), ("r", .read, "read"),
        ("w", .write, "write"), ("a", .admin, "change the ACL"),
    ]

    /// The permissions as letters, such as `cdrwa`.
    package var letters: String { String(Self.names.filter { contains($0.permission) }.map(\.letter)) }

    /// The permissions in words.
    package var words: String {
        let allowed = Self.names.filter { contains($0.permission) }.map(\.words)
        if allowed.count == Self.names.count { return "everything" }
        return allowed.isEmpty ? "nothing" : allowed.joined(separator: ", ")
    }

    /// Parses letters.
    ///
    /// - Returns: `nil` if there are none, or a letter that is no permission or occurs twice.
    init?(letters: some StringProtocol) {
        self = []
        for letter in letters {
            guard let permission = Self.names.first(where: { $0.letter == letter })?.permission,
                insert(permission).inserted
            else { return nil }
        }
        if isEmpty { return nil }
    }
}

extension ACL {
    /// The identity as `scheme:id`.
    package var identity: String { "\(scheme):\(id)" }

    /// The entry as `scheme:id:permissions`.
    package var text: String { "\(identity):\(permissions.letters)" }

    /// Parses an entry as ZooKeeper's own command line writes it: `scheme:id:permissions`.
    ///
    /// - Throws: ``InvalidACL`` with the rule and an example. It does not contain the ID, which may be a password by
    ///   mistake.
    package init(argument: String) throws(InvalidACL) {
        let parts = argument.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count >= 3, let scheme = parts.first, let letters = parts.last, !scheme.isEmpty else {
            throw Self.invalid("it must be scheme:id:permissions, such as world:anyone:r or auth::cdrwa")
        }
        guard let permissions = Permissions(letters: letters) else {
            throw Self.invalid(
                "the permissions after its last colon must be letters of cdrwa, each at most once; repeat the option "
                    + "for each entry")
        }
        let id = parts.dropFirst().dropLast().joined(separator: ":")
        if let problem = Self.problem(ofID: id, in: String(scheme)) { throw Self.invalid(problem) }
        self.init(permissions: permissions, scheme: String(scheme), id: id)
    }

    private static func invalid(_ problem: String) -> InvalidACL { InvalidACL(description: problem) }

    private static func problem(ofID id: String, in scheme: String) -> String? {
        let isSafe = !(scheme + id).unicodeScalars.contains(where: Text.isUnsafe)
        if !isSafe { return "the scheme or the ID contains a control character; remove it" }
        switch scheme {
        case "world": return id == "anyone" ? nil : "the scheme world has only the ID anyone: use world:anyone:r"
        case "auth":
            return id.isEmpty ? nil : "the scheme auth has no ID, and stands for this client: use auth::cdrwa"
        case "digest":
            let parts = id.split(separator: ":", omittingEmptySubsequences: false)
            let isHashed = parts.count == 2 && !parts[0].isEmpty && isHash(String(parts[1]))
            return isHashed
                ? nil
                : "the ID of the scheme digest must be user:hash with the Base64 text of a hash, not a password; for the "
                    + "identity in --auth-file, use auth::cdrwa"
        default: return id.isEmpty ? "the ID is empty: use scheme:id:permissions, such as sasl:app:cdrwa" : nil
        }
    }

    /// Whether a text can be the Base64 text of a hash: SHA-1 has 20 bytes, other algorithms have more.
    private static func isHash(_ text: String) -> Bool { (Data(base64Encoded: text)?.count ?? 0) >= 20 }
}

/// The error about a text that is no ACL.
package struct InvalidACL: Error, CustomStringConvertible {
    /// What is wrong and what to do; the text itself may be a password by mistake.
    package var description: String
}

/// The ACLs that have a name.
package enum ZNodeAccess: String, CaseIterable, Sendable {
    /// Everything for each client.
    case open
    /// Everything for the identities of the creating client.
    case creator
    /// Everything for the identities of the creating client, and reading for each client.
    case readable

    package var acl: [ACL] {
        switch self {
        case .open: [.openUnsafe]
        case .creator: [.creatorAll]
        case .readable: [.creatorAll, .readUnsafe]
        }
    }

    /// Parses an ACL: the name of one, or entries.
    ///
    /// - Throws: ``InvalidACL``.
    package static func acl(_ texts: [String]) throws(InvalidACL) -> [ACL] {
        if texts.count == 1, let access = Self(rawValue: texts[0]) { return access.acl }
        var acl: [ACL] = []
        for text in texts {
            guard text.contains(":") else {
                throw InvalidACL(
                    description:
                        "it must be one of \(allCases.map(\.rawValue).joined(separator: ", ")), or entries such as "
                        + "auth::cdrwa")
            }
            let entry = try ACL(argument: text)
            guard !acl.contains(where: { $0.identity.hasBytes(of: entry.identity) }) else {
                throw InvalidACL(
                    description: "two entries have the same identity; write its permissions in one entry")
            }
            acl.append(entry)
        }
        return acl
    }
}
