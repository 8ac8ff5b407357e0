import ArgumentParser
import Glibc
import Testing
import ZooKeeper

@testable import CommandLineSupport
@testable import zkrecipes

/// The settings of the connection, from options, variables and a file.
@Suite struct SettingsTests {
    private func parse(_ text: String) throws -> [Settings.Key: Settings.Value] {
        try Settings.parse(Array(text.utf8), of: "/etc/app.conf")
    }

    @Test func `an option precedes its variable, the variable the file, and the file the default`() throws {
        let file = try parse("ZOOKEEPER_CONNECT=file:1\nZOOKEEPER_ACL=creator\nZOOKEEPER_TLS_CA=\n")
        let settings = Settings(environment: ["ZOOKEEPER_CONNECT": "variable:1", "ZOOKEEPER_ACL": ""], file: file)
        #expect(
            settings.value("option:1", "--connect", .connect) == .init(text: "option:1", source: "--connect"))
        #expect(
            settings.value(nil, "--connect", .connect) == .init(text: "variable:1", source: "ZOOKEEPER_CONNECT"))
        #expect(
            settings.value(nil, "--acl", .acl)
                == .init(text: "creator", source: "ZOOKEEPER_ACL (/etc/app.conf, line 2)"))
        #expect(settings.value(nil, "--tls-ca", .tlsCA) == nil && settings.value(nil, "", .authFile) == nil)
    }

    @Test func `empty lines and comments are ignored, and a value may contain the equals sign and a hash sign`() throws
    {
        let values = try parse("# one\n\n  # two\nZOOKEEPER_CONNECT=zk1:2181/a=b#c\n")
        #expect(values.mapValues(\.text) == [.connect: "zk1:2181/a=b#c"])
    }

    @Test(arguments: [
        ("ZOOKEEPER_CONNECT", "line 1 has no equals sign"), ("\nconnect=zk1:2181", "line 2 sets \"connect\""),
        ("ZOOKEEPER_CONECT=a:1", "did you mean \"ZOOKEEPER_CONNECT\"?"),
        ("export ZOOKEEPER_CONNECT=a:1", "is no setting"), (" ZOOKEEPER_CONNECT=a:1", "is no setting"),
        ("ZOOKEEPER_CONNECT = a:1", "is no setting"), ("ZOOKEEPER_CONNECT= a:1", "white space"),
        ("ZOOKEEPER_CONNECT=a:1\r\n", "white space"), ("ZOOKEEPER_CONNECT=\"a:1\"", "without quotation marks"),
        ("ZOOKEEPER_CONNECT=a\\:1", "backslashes"), ("ZOOKEEPER_CONNECT=a\u{1b}:1", "control character"),
        ("ZOOKEEPER_ACL=open\nZOOKEEPER_ACL=creator", "line 2 sets ZOOKEEPER_ACL a second time"),
        ("ZOOKEEPER_CONFIG=/etc/other", "is no setting"), ("digest:ada:s3=cret", "may be a secret"),
    ])
    func `a line that is no setting is refused with its number and the rule`(text: String, problem: String) {
        let error = #expect(throws: SettingFileError.self) { try parse(text) }
        #expect(error?.problem.contains(problem) == true, "\(error?.problem ?? "")")
        #expect(error?.problem.contains("ada") == false)
    }

    @Test func `a line that is no text is refused`() {
        let error = #expect(throws: SettingFileError.self) {
            try Settings.parse(Array("ZOOKEEPER_CONNECT=".utf8) + [0xff], of: "/f")
        }
        #expect(error?.problem.contains("line 1 is not UTF-8 text") == true)
    }

    /// Runs an operation with a file.
    private func withFile(_ text: String, mode: mode_t = 0o644, _ body: (String) throws -> Void) throws {
        let path = "/tmp/settings-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        try #require(file >= 0 && fchmod(file, mode) == 0)
        defer { unlink(path) }
        #expect(write(file, text, text.utf8.count) == text.utf8.count)
        close(file)
        try body(path)
    }

    private func refusal(_ arguments: [String]) -> String? {
        do {
            _ = try ZKRecipes.parseAsRoot(arguments)
            return nil
        } catch {
            #expect(ZKRecipes.exitCode(for: error).rawValue == 64)
            return ZKRecipes.message(for: error)
        }
    }

    @Test func `a command reads the file, and an option precedes it`() throws {
        let text = "ZOOKEEPER_CONNECT=zk1:2181/app\nZOOKEEPER_SESSION_TIMEOUT=20s\nZOOKEEPER_CONNECT_TIMEOUT=500ms\n"
        try withFile(text) { path in
            let words = ["status", "/", "--config", path]
            let read = try #require(try ZKRecipes.parseAsRoot(words) as? StatusCommand).connection.endpoint()
            #expect(read.connectionString == "zk1:2181/app")
            #expect(read.sessionTimeout == .seconds(20) && read.connectTimeout == .milliseconds(500))
            let more = try #require(
                try ZKRecipes.parseAsRoot(words + ["--connect", "zk2:1", "--session-timeout", "5s"]) as? StatusCommand)
            #expect(try more.connection.endpoint().connectionString == "zk2:1")
            #expect(try more.connection.endpoint().sessionTimeout == .seconds(5))
        }
    }

    @Test(arguments: [
        ("ZOOKEEPER_CONNECT=zk1\n", ["ZOOKEEPER_CONNECT (", "line 1", "has no port"]),
        (
            "\nZOOKEEPER_SESSION_TIMEOUT=soon\n",
            ["ZOOKEEPER_SESSION_TIMEOUT (", "line 2", "\"soon\"", "from 100ms to 1h"]
        ),
        ("ZOOKEEPER_CONNECT_TIMEOUT=0\n", ["ZOOKEEPER_CONNECT_TIMEOUT (", "from 1ms to 1d"]),
        ("ZOOKEEPER_ACL=all\n", ["ZOOKEEPER_ACL (", "line 1", "open, creator, readable"]),
        ("ZOOKEEPER_ACL=creator\n", ["ZOOKEEPER_ACL (", "--auth-file"]),
        ("ZOOKEEPER_AUTH_FILE=/no/such\n", ["ZOOKEEPER_AUTH_FILE (", "\"/no/such\" cannot be read"]),
        ("ZOOKEEPER_TLS_CA=/no/such\n", ["ZOOKEEPER_TLS_CA (", "--tls-cert and --tls-key are not"]),
        ("ZOOKEEPER_CONECT=zk1:1\n", ["--config", "line 1", "did you mean"]),
    ])
    func `an error names the key, the file, the line and the rule`(text: String, parts: [String]) throws {
        try withFile(text) { path in
            let message = try #require(refusal(["status", "/", "--config", path]))
            for part in parts + [path] { #expect(message.contains(part), "\(message)") }
        }
    }

    @Test func `a file that cannot be read or that each user can change is refused`() throws {
        #expect(
            refusal(["status", "/", "--config", "/no/such"])?.contains("--config \"/no/such\" cannot be read") == true)
        #expect(refusal(["status", "/", "--config", "/tmp"])?.contains("is not a regular file") == true)
        try withFile("ZOOKEEPER_CONNECT=zk1:2181\n", mode: 0o646) { path in
            #expect(refusal(["status", "/", "--config", path])?.contains("use chmod o-w") == true)
        }
    }

    // MARK: TLS

    @Test func `the files of TLS belong together, and must be readable and protected`() throws {
        try withFile("certificate") { pem in
            func message(_ files: (String, String)...) -> String {
                refusal(["status", "/"] + files.flatMap { ["--tls-\($0.0)", $0.1] }) ?? ""
            }
            #expect(message(("ca", pem)).contains("--tls-ca is set, and --tls-cert and --tls-key are not"))
            #expect(message(("cert", pem), ("key", pem)).contains("--tls-cert is set, and --tls-ca is not"))
            #expect(message(("ca", "/no"), ("cert", pem), ("key", pem)).contains("--tls-ca \"/no\" cannot be read"))
            #expect(
                message(("ca", pem), ("cert", "/tmp"), ("key", pem)).contains("--tls-cert \"/tmp\" is not a regular"))
            #expect(message(("ca", pem), ("cert", "/a,b"), ("key", pem)).contains("contains a comma"))
            // The key can be read by others.
            let shared = message(("ca", pem), ("cert", pem), ("key", pem))
            #expect(shared.contains("--tls-key") && shared.contains("use chmod"), "\(shared)")
            try withFile("-----BEGIN ENCRYPTED PRIVATE KEY-----\n", mode: 0o600) { key in
                let files = [("ca", pem), ("cert", pem), ("key", key)]
                #expect(message(files[0], files[1], files[2]).contains("is encrypted, and there is no password"))
                let open = message(files[0], files[1], files[2], ("key-password-file", pem))
                #expect(open.contains("--tls-key-password-file") && open.contains("use chmod"), "\(open)")
            }
        }
    }

    @Test(.enabled(if: !TLSConfiguration.isSupported, "The ZooKeeper C library of this host has TLS."))
    func `a library without TLS is reported with what to do`() throws {
        try withFile("key", mode: 0o600) { pem in
            let words = ["status", "/", "--tls-ca", pem, "--tls-cert", pem, "--tls-key", pem]
            let message = refusal(words) ?? ""
            for part in ["--tls-ca is set", "zookeeper_init_ssl", "OpenSSL", "stunnel"] {
                #expect(message.contains(part), "\(message)")
            }
        }
    }
}
