import FoundationEssentials
import ZooKeeper

/// The identities that this client has on servers, as far as its credentials show them.
///
/// A server may add others: those of a client certificate, of the address, or of an administrator.
struct OwnIdentities: Sendable {
    /// The IDs of the scheme `digest`.
    let digests: [String]
    /// Whether the client has a certificate, which servers may map to an identity.
    let hasCertificate: Bool
    /// Whether the client has credentials whose identities only the servers know.
    ///
    /// Credentials of the scheme `ensemble` have none.
    private let hasOtherCredentials: Bool

    init(_ credentials: [AuthCredential], hasCertificate: Bool = false) {
        digests = credentials.filter { $0.scheme == "digest" }.map { Self.digestID(of: $0.credential) }
        hasOtherCredentials = credentials.contains { !["digest", "ensemble"].contains($0.scheme) }
        self.hasCertificate = hasCertificate
    }

    /// Whether the servers have an identity for entries of the scheme `auth`.
    var canAuthenticate: Bool { !digests.isEmpty || hasCertificate }

    /// Whether an entry of an ACL certainly applies to this client.
    func match(_ entry: ACL) -> Bool {
        switch entry.scheme {
        case "world": entry.id == "anyone"
        case "auth": canAuthenticate
        case "digest": digests.contains { $0.hasBytes(of: entry.id) }
        default: false
        }
    }

    /// Returns the entries that servers store for an ACL: they replace `auth` with the identities of the client.
    ///
    /// - Returns: The entries; `nil` if the ACL has an entry of the scheme `auth`, and the client may have identities
    ///   that its credentials do not show.
    func stored(_ acl: [ACL]) -> Set<ACL>? {
        if hasCertificate || hasOtherCredentials, acl.contains(where: { $0.scheme == "auth" }) { return nil }
        return Set(
            acl.flatMap { entry in
                entry.scheme == "auth"
                    ? digests.map { ACL(permissions: entry.permissions, scheme: "digest", id: $0) } : [entry]
            })
    }

    /// Returns the ID of a digest credential: the user, and the Base64 text of the SHA-1 hash of `user:password`.
    ///
    /// Servers can be configured to use another algorithm. Entries of the scheme `digest` are then not recognized.
    static func digestID(of credential: [UInt8]) -> String {
        let user = credential.prefix { $0 != UInt8(ascii: ":") }
        return String(decoding: user, as: UTF8.self) + ":" + Data(SHA1.hash(of: credential)).base64EncodedString()
    }
}

/// The hash function SHA-1 (FIPS 180-4), only to recognize the IDs that servers store in ACLs.
enum SHA1 {
    static func hash(of message: [UInt8]) -> [UInt8] {
        var state: [UInt32] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0]
        var padded = message + [0x80]
        padded += [UInt8](repeating: 0, count: (120 - padded.count % 64) % 64)
        padded += bytes(of: UInt64(message.count) * 8)
        for start in stride(from: 0, to: padded.count, by: 64) { add(padded[start..<start + 64], to: &state) }
        return state.flatMap(bytes)
    }

    private static func add(_ block: ArraySlice<UInt8>, to state: inout [UInt32]) {
        var words = (0..<16).map { index in
            block.dropFirst(index * 4).prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        }
        for index in 16..<80 {
            words.append(rotate(words[index - 3] ^ words[index - 8] ^ words[index - 14] ^ words[index - 16], 1))
        }
        var (a, b, c, d, e) = (state[0], state[1], state[2], state[3], state[4])
        for (index, word) in words.enumerated() {
            let (function, constant): (UInt32, UInt32) =
                switch index {
                case ..<20: (b & c | ~b & d, 0x5a82_7999)
                case ..<40: (b ^ c ^ d, 0x6ed9_eba1)
                case ..<60: (b & c | b & d | c & d, 0x8f1b_bcdc)
                default: (b ^ c ^ d, 0xca62_c1d6)
                }
            let next = rotate(a, 5) &+ function &+ e &+ constant &+ word
            (a, b, c, d, e) = (next, a, rotate(b, 30), c, d)
        }
        for (index, value) in [a, b, c, d, e].enumerated() { state[index] &+= value }
    }

    private static func rotate(_ word: UInt32, _ count: UInt32) -> UInt32 { word << count | word >> (32 - count) }

    private static func bytes(of number: some FixedWidthInteger) -> [UInt8] {
        stride(from: number.bitWidth - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: number >> $0) }
    }
}
