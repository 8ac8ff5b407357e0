import ArgumentParser
import CommandLineSupport
import Glibc
import Testing
import ZooKeeper

@testable import zkrecipes

/// The entries of ACLs, the identities of this client, and what `zkrecipes acl` refuses before it connects.
@Suite struct ACLCommandTests {
    private static let hash = "D/InIHSb7yEEbrWz8b9l71RjZJU="

    // MARK: Entries

    @Test(arguments: [
        ("world:anyone:r", ACL(permissions: .read, scheme: "world", id: "anyone")),
        ("auth::cdrwa", .creatorAll),
        ("digest:app:\(hash):rw", ACL(permissions: [.read, .write], scheme: "digest", id: "app:\(hash)")),
        ("ip:10.0.0.0/8:r", ACL(permissions: .read, scheme: "ip", id: "10.0.0.0/8")),
        ("ip:2001:db8::1:rc", ACL(permissions: [.read, .create], scheme: "ip", id: "2001:db8::1")),
        ("sasl:app/host@REALM:a", ACL(permissions: .admin, scheme: "sasl", id: "app/host@REALM")),
        ("x509:CN=app,O=example:d", ACL(permissions: .delete, scheme: "x509", id: "CN=app,O=example")),
    ])
    func `an entry is read as ZooKeeper's own command line writes it`(text: String, entry: ACL) throws {
        #expect(try ACL(argument: text) == entry)
        #expect(try ACL(argument: entry.text) == entry)
    }

    @Test(arguments: [
        ("", "scheme:id:permissions"), ("world", "scheme:id:permissions"), ("world:anyone", "scheme:id:permissions"),
        (":anyone:r", "scheme:id:permissions"), ("world:anyone:", "letters of cdrwa"),
        ("world:anyone:x", "letters of cdrwa"), ("world:anyone:rr", "each at most once"),
        ("world:anyone:R", "letters of cdrwa"), ("world:anyone:r,auth::a", "has only the ID anyone"),
        ("world:all:r", "use world:anyone:r"), ("auth:app:r", "use auth::cdrwa"),
        ("digest:app:r", "not a password"), ("digest:app:s3cret:r", "not a password"),
        ("digest::\(hash):r", "not a password"), ("digest:a:\(hash):b:r", "not a password"),
        ("sasl::r", "the ID is empty"), ("sasl:a\u{1b}[2J:r", "control character"),
    ])
    func `an invalid entry is refused with the rule, without showing it`(text: String, problem: String) {
        let message = #expect(throws: InvalidACL.self) { try ACL(argument: text) }?.description ?? ""
        #expect(message.contains(problem), "\(message)")
        #expect(!message.contains("s3cret") && !message.unicodeScalars.contains("\u{1b}"), "\(message)")
    }

    @Test func `permissions are shown in words`() {
        #expect(ACL.Permissions.all.words == "everything" && ACL.Permissions.all.letters == "cdrwa")
        #expect(ACL.Permissions([.read, .admin]).words == "read, change the ACL")
        #expect(ACL.Permissions([]).words == "nothing" && ACL.Permissions([]).letters.isEmpty)
    }

    // MARK: Identities

    @Test(arguments: [
        ("", "da39a3ee5e6b4b0d3255bfef95601890afd80709"), ("abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1"
        ),
        (String(repeating: "a", count: 1_000_000), "34aa973cd4c4daa4f61eeb2bdbad27316534016f"),
    ])
    func `SHA-1 has the results of its standard`(message: String, expected: String) {
        let hash = SHA1.hash(of: Array(message.utf8))
        #expect(hash.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() == expected)
    }

    @Test func `a message of each length up to two blocks has a hash of its own`() {
        let hashes = (0...130).map { SHA1.hash(of: [UInt8](repeating: 0x61, count: $0)) }
        #expect(Set(hashes).count == 131 && hashes.allSatisfy { $0.count == 20 })
    }

    @Test func `the ID of a digest credential is that of the servers`() {
        // The example of ZooKeeper's own tests.
        #expect(OwnIdentities.digestID(of: Array("super:test".utf8)) == "super:\(Self.hash)")
    }

    @Test func `entries of this client are recognized`() throws {
        let own = OwnIdentities([.digest(user: "super", password: "test")])
        for text in ["world:anyone:r", "auth::r", "digest:super:\(Self.hash):r"] {
            #expect(try own.match(ACL(argument: text)), "\(text)")
        }
        for text in ["digest:other:\(Self.hash):r", "ip:127.0.0.1:r", "sasl:super:r"] {
            #expect(try !own.match(ACL(argument: text)), "\(text)")
        }
        #expect(
            own.stored([.creatorAll, .readUnsafe])
                == [ACL(permissions: .all, scheme: "digest", id: "super:\(Self.hash)"), .readUnsafe])
        let none = OwnIdentities([AuthCredential(scheme: "ensemble", credential: Array("blue".utf8))])
        #expect(!none.canAuthenticate && !none.match(.creatorAll))
        #expect(OwnIdentities([], hasCertificate: true).canAuthenticate)
    }

    // MARK: Refusals

    private func message(_ arguments: [String]) -> String {
        do {
            _ = try ZKRecipes.parseAsRoot(["acl", "set", "/app", "--dry-run"] + arguments)
            return ""
        } catch {
            #expect(ZKRecipes.exitCode(for: error).rawValue == 64)
            return ZKRecipes.message(for: error)
        }
    }

    /// Runs an operation with a file of credentials for the user `super`.
    private func withCredentials(_ body: (String) throws -> Void) throws {
        let path = "/tmp/acl-credentials-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        try #require(file >= 0)
        defer { unlink(path) }
        #expect(write(file, "digest:super:test", 17) == 17)
        close(file)
        try body(path)
    }

    @Test(arguments: [
        ([], "use --acl creator"), (["--acl", "open", "--acl", "world:anyone:r"], "or entries such as"),
        (["--acl", "all"], "open, creator, readable"), (["--acl", "creator"], "--auth-file"),
        (["--acl", "readable"], "--auth-file"), (["--acl", "auth::cdrwa"], "--auth-file"),
        (["--acl", "world:anyone:r"], "use --force"), (["--acl", "world:anyone:cdrw"], "use --force"),
        (["--acl", "ip:127.0.0.1:cdrwa"], "use --force"), (["--acl", "sasl:app:cdrwa"], "use --force"),
        (["--acl", "world:anyone:a", "--acl", "world:anyone:r"], "the same identity"),
        (["--acl", "world:anyone:z"], "letters of cdrwa"), (["--acl", "open", "--max-znodes", "0"], "from 1"),
    ])
    func `a change that cannot be is refused`(arguments: [String], problem: String) {
        let message = message(arguments)
        #expect(message.contains(problem), "\(message)")
    }

    @Test func `an ACL that keeps the admin permission of this client is accepted, and every other with force`() throws
    {
        #expect(message(["--acl", "open"]).isEmpty)
        #expect(message(["--acl", "world:anyone:r", "--force"]).isEmpty)
        try withCredentials { path in
            let file = ["--auth-file", path]
            for accepted in ["auth::cdrwa", "digest:super:\(Self.hash):a"] {
                #expect(message(["--acl", accepted] + file).isEmpty, "\(accepted)")
            }
            #expect(message(["--acl", "readable"] + file).isEmpty)
            for refused in ["auth::cdrw", "digest:super:\(Self.hash):r", "digest:other:\(Self.hash):cdrwa"] {
                #expect(message(["--acl", refused] + file).contains("use --force"), "\(refused)")
            }
        }
    }

    @Test func `a change needs a confirmation, and JSON leaves no room for a question`() {
        let words = ["acl", "set", "/app", "--acl", "open"]
        for (more, problem) in [([], "--yes"), (["--json"], "--json cannot ask")] {
            let error = #expect(throws: (any Error).self) { try ZKRecipes.parseAsRoot(words + more) }
            #expect(error.map { ZKRecipes.message(for: $0).contains(problem) } == true)
        }
    }

    // MARK: Listing

    @Test func `a listing shows each entry, what it allows, and znodes without permission, escaped`() {
        let hostile = "/a\u{1b}[2J\u{202e}"
        let tree = ACLTree(levels: [
            [ZNodeACL(path: "/app", acl: [.openUnsafe], version: 3, listingProblem: ZNodeACL.listingRefusal)],
            [
                ZNodeACL(
                    path: hostile, acl: [ACL(permissions: .read, scheme: "sasl", id: "x\u{9b}2J")],
                    session: SessionID(rawValue: 7)),
                ZNodeACL(path: "/app/b", problem: ZNodeACL.refusal),
            ],
        ])
        let listing = ACLListing(path: "/app", tree: tree, identities: OwnIdentities([]))
        #expect(!listing.isComplete && listing.lines.count == 5)
        #expect(listing.lines[1].contains("world:anyone") && listing.lines[1].contains("everything (this client)"))
        #expect(listing.lines[2].contains("no read permission") && listing.lines[4].contains("neither read nor admin"))
        for line in listing.lines + [listing.json] {
            #expect(!line.unicodeScalars.contains(where: Text.isUnsafe), "\(line)")
        }
        #expect(listing.json.contains(#""complete":false"#) && listing.json.contains(#""version":3"#))
        #expect(listing.json.contains(#""permissions":"r""#) && listing.json.contains(#"/a\u001b[2J\u202e"#))
    }

    @Test func `znodes that have the ACL are left out, and refused ones are failures`() {
        let own = OwnIdentities([.digest(user: "super", password: "test")])
        let stored = ACL(permissions: .all, scheme: "digest", id: "super:\(Self.hash)")
        let tree = ACLTree(levels: [
            [ZNodeACL(path: "/app", acl: [.openUnsafe])],
            [
                ZNodeACL(path: "/app/a", acl: [stored]), ZNodeACL(path: "/app/b", problem: ZNodeACL.refusal),
                ZNodeACL(path: "/app/c", acl: [.openUnsafe], session: SessionID(rawValue: 7)),
            ],
        ])
        let change = ACLChange(tree, to: [.creatorAll], as: own)
        #expect(change.levels.map { $0.map(\.path) } == [["/app"], ["/app/c"]])
        #expect(change.count == 2 && change.ephemeralCount == 1)
        #expect(change.report.unchanged == 1)
        #expect(change.report.failures == [.init(path: "/app/b", reason: ZNodeACL.refusal)])
        #expect(change.json(path: "/app", isDryRun: true).contains(#""changed":2"#))
        #expect(change.line == "changed 0 znodes; 1 znode already had this ACL; 1 failed")
    }

    @Test func `no znode is left out if the servers may add the identity of a certificate`() {
        let own = OwnIdentities([.digest(user: "super", password: "test")], hasCertificate: true)
        let stored = ACL(permissions: .all, scheme: "digest", id: "super:\(Self.hash)")
        let tree = ACLTree(levels: [
            [ZNodeACL(path: "/app", acl: [stored])],
            [ZNodeACL(path: "/app/a", problem: ZNodeACL.refusal), ZNodeACL(path: "/app/b", acl: [.openUnsafe])],
        ])
        let creator = ACLChange(tree, to: [.creatorAll], as: own)
        #expect(creator.levels.map { $0.map(\.path) } == [["/app"], ["/app/b"]])
        #expect(creator.report.unchanged == 0 && creator.count == 2)
        #expect(creator.report.remaining == 0 && creator.remedy == nil)
        // The servers store all other entries as they are.
        let open = ACLChange(tree, to: [.openUnsafe], as: own)
        #expect(open.levels.map { $0.map(\.path) } == [["/app"], []])
        #expect(open.report.unchanged == 1)
    }
}
