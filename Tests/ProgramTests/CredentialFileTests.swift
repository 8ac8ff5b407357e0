import ArgumentParser
import CommandLineSupport
import Glibc
import Testing
import ZooKeeper

@testable import zkrecipes

@Suite struct CredentialFileTests {
    @Test func `a line is a credential, unless it is empty or a comment`() throws {
        let text =
            "# one\n\n  # two\ndigest:app:a:b #c\ndigest:\u{fc}:\u{fc}\r".dropLast()
            + "\nensemble:blue\ndigest:app:a:b #c"
        let credentials = try CredentialFile.parse(Array(text.utf8))
        #expect(
            credentials == [
                .digest(user: "app", password: "a:b #c"), .digest(user: "\u{fc}", password: "\u{fc}"),
                AuthCredential(scheme: "ensemble", credential: Array("blue".utf8)),
            ])
        #expect(try CredentialFile.parse(Array("digest:a:\u{0}".utf8.dropLast() + [0xff])).count == 1)
    }

    private static let wrong = [
        ("", "contains no credentials"), ("# digest:a:b\n\n", "contains no credentials"),
        ("digest", "line 1 is incomplete"), ("\ndigest:", "line 2 is incomplete"), ("digest:s3cret", "is incomplete"),
        ("digest:s3cret:", "is incomplete"), ("digest::s3cret", "is incomplete"), ("ensemble:", "is incomplete"),
        ("s3cret", "does not start with a known scheme"), ("Digest:a:s3cret", "use digest or ensemble"),
        ("sasl:s3cret", "use digest or ensemble"), (":s3cret", "use digest or ensemble"),
        (" digest:a:s3cret", "white space"), ("digest:a:s3cret ", "white space"),
        ("digest:a:s3cret\r\n", "white space"),
        ("digest:a:s3cret\u{0}", "control character"), ("digest:a:s3\tcret", "control character"),
    ]

    @Test(arguments: wrong)
    private func `a line that is no credential is refused without showing it`(text: String, problem: String) throws {
        let error = try #require(throws: SettingFileError.self) { try CredentialFile.parse(Array(text.utf8)) }
        #expect(error.problem.contains(problem) && !error.problem.contains("s3"), "\(error.problem)")
    }

    /// Runs an operation with a name in the folder for temporary files, which does not exist yet.
    private func withName(_ body: (String) throws -> Void) rethrows {
        let path = "/tmp/credentials-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        defer { unlink(path) }
        try body(path)
    }

    private func write(_ bytes: [UInt8], to path: String, mode: mode_t) throws {
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        try #require(file >= 0 && fchmod(file, mode) == 0)
        #expect(Glibc.write(file, bytes, bytes.count) == bytes.count)
        close(file)
    }

    @Test(arguments: [0o640, 0o604, 0o620, 0o601, 0o666] as [mode_t])
    func `a file to which others have access is refused`(mode: mode_t) throws {
        try withName { path in
            try write(Array("digest:a:b".utf8), to: path, mode: mode)
            let error = try #require(throws: SettingFileError.self) { try CredentialFile.read(path) }
            #expect(error.problem.contains("use chmod 600"))
        }
    }

    @Test func `only a regular file of a small size is read`() throws {
        func problem(_ path: String) -> String? {
            do {
                _ = try CredentialFile.read(path)
                return nil
            } catch {
                return error.problem
            }
        }
        #expect(problem("/tmp") == "is not a regular file; name a file")
        #expect(problem("/dev/null")?.contains("is not a regular file") == true)
        #expect(problem("/no/such/file")?.contains("No such file") == true)
        try withName { path in
            try #require(mkfifo(path, 0o600) == 0)
            #expect(problem(path)?.contains("is not a regular file") == true)
        }
        try withName { path in
            try write([UInt8](repeating: 0x23, count: 65_537), to: path, mode: 0o600)
            #expect(problem(path)?.contains("is larger than 65536 bytes") == true)
        }
        try withName { path in
            try write(Array("digest:a:b\n".utf8), to: path, mode: 0o400)
            #expect(problem(path) == nil)
        }
    }

    @Test func `a file that cannot be used is refused by each command`() {
        for command in [
            ["lock", "/l", "--", "true"], ["lead", "/l", "--", "true"], ["status", "/"], ["doctor"],
            ["partitions", "status", "/g"], ["schedule", "history", "/t"], ["exclusive", "status", "/b"],
        ] {
            let position = command.firstIndex(of: "--") ?? command.count
            let words = Array(command[..<position]) + ["--auth-file", "/no/such\nfile"] + Array(command[position...])
            let error = #expect(throws: (any Error).self) { try ZKRecipes.parseAsRoot(words) }
            guard let error else { continue }
            #expect(ZKRecipes.exitCode(for: error).rawValue == 64)
            #expect(ZKRecipes.message(for: error).contains("--auth-file \"/no/such\\nfile\" cannot be read"))
        }
    }

    @Test func `a description of a credential does not contain it`() {
        var configuration = ZooKeeperClientConfiguration(servers: [])
        configuration.auth = [.digest(user: "app", password: "s3cret")]
        var dumped = ""
        dump(configuration, to: &dumped)
        for text in ["\(configuration)", String(reflecting: configuration), dumped, "\(configuration.auth[0])"] {
            #expect(text.contains("digest") && !text.contains("s3cret"), "\(text)")
        }
        #expect(Mirror(reflecting: configuration.auth[0]).children.map(\.label) == ["scheme"])
    }
}
