internal import Glibc
internal import ZooKeeperBridge
internal import ZooKeeperTransport

/// The certificates for an encrypted connection to the servers.
///
/// TLS needs a ZooKeeper C library of version 3.8 or later that was built with OpenSSL; Debian 12's was not.
/// ``isSupported`` shows whether the library of this process has it. If it does not, a client with this configuration
/// cannot be created: the connection is never made without encryption instead.
///
/// ```swift
/// configuration.tls = TLSConfiguration(
///     certificateAuthority: "/etc/app/ca.pem", certificate: "/etc/app/client.pem", privateKey: "/etc/app/client.key")
/// ```
///
/// - Important: The C library does not compare the certificate of a server with the server's name, and also accepts
///   certificates of the authorities that the system trusts. Set the environment variables `SSL_CERT_FILE` and
///   `SSL_CERT_DIR` to a file and a folder without other authorities, so that only certificates of your own authority
///   are accepted.
///
/// The library reads the files for each connection, so that renewed certificates are used from the next connection on.
public struct TLSConfiguration: Sendable, Hashable {
    /// The path of the certificates of the authorities that sign those of servers, in PEM format.
    public var certificateAuthority: String
    /// The path of the client's certificate and its chain, in PEM format.
    public var certificate: String
    /// The path of the private key of the client's certificate, in PEM format.
    ///
    /// Only its owner may have access, or also its group with read permission if root owns the file and the process
    /// does not run as root.
    public var privateKey: String
    /// The password of the private key; `nil` if the key is not encrypted.
    public var privateKeyPassword: String?

    /// Creates a configuration; the files are checked when a client is created with it.
    ///
    /// - Parameters:
    ///   - certificateAuthority: The path of the certificates of the authorities.
    ///   - certificate: The path of the client's certificate.
    ///   - privateKey: The path of its private key.
    ///   - privateKeyPassword: The password of the private key. Default: `nil`, if the key is not encrypted.
    public init(
        certificateAuthority: String, certificate: String, privateKey: String, privateKeyPassword: String? = nil
    ) {
        self.certificateAuthority = certificateAuthority
        self.certificate = certificate
        self.privateKey = privateKey
        self.privateKeyPassword = privateKeyPassword
    }

    /// Whether the ZooKeeper C library of this process can encrypt connections.
    public static var isSupported: Bool { CTransport.supportsTLS }

    /// The reason and the remedy if ``isSupported`` is `false`, as the end of a sentence.
    package static let unsupported =
        "the ZooKeeper C library of this process cannot encrypt connections: it has no function zookeeper_init_ssl. "
        + "Install one of version 3.8 or later that was built with OpenSSL, or leave TLS out and connect through stunnel "
        + "(article \"TLS\")"

    var transport: TransportTLS {
        TransportTLS(
            certificateAuthority: certificateAuthority, certificate: certificate, privateKey: privateKey,
            password: privateKeyPassword)
    }
}

extension TLSConfiguration: CustomStringConvertible, CustomReflectable {
    /// The paths, without the password, so that logs contain no secrets.
    public var description: String {
        "TLS with \(certificateAuthority), \(certificate), \(privateKey)"
            + (privateKeyPassword == nil ? "" : ", <hidden>")
    }

    /// A mirror without the password, for `dump` and debuggers.
    public var customMirror: Mirror {
        Mirror(
            self,
            children: [
                "certificateAuthority": certificateAuthority, "certificate": certificate, "privateKey": privateKey,
            ])
    }
}

// MARK: Validation

extension TLSConfiguration {
    /// A file of the configuration.
    package enum File: String, Sendable, CaseIterable {
        case certificateAuthority, certificate, privateKey
    }

    private func path(of file: File) -> String {
        switch file {
        case .certificateAuthority: certificateAuthority
        case .certificate: certificate
        case .privateKey: privateKey
        }
    }

    /// The first file that cannot be used, with the reason and the remedy as a predicate of the file's name; `nil` if
    /// all can be used.
    package var fileProblem: (file: File, problem: String)? {
        for file in File.allCases {
            let path = path(of: file)
            if let problem = problem(of: path, isKey: file == .privateKey) { return (file, problem) }
        }
        return nil
    }

    /// The most that is read of a private key to find out whether it is encrypted.
    private static let keySize = 65_536

    private func problem(of path: String, isKey: Bool) -> String? {
        if path.isEmpty { return "is empty; name a file in PEM format" }
        if Self.isUnusable(path) { return "contains a comma or a control character; rename the file" }
        // Opening a FIFO would otherwise wait for a writer.
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard file >= 0 else { return unsafe "cannot be read: \(String(cString: strerror(errno)))" }
        defer { close(file) }
        var info = stat()
        guard unsafe fstat(file, &info) == 0 else {
            return unsafe "cannot be read: \(String(cString: strerror(errno)))"
        }
        guard info.st_mode & S_IFMT == S_IFREG else { return "is not a regular file; name a file in PEM format" }
        guard isKey else { return nil }
        if let problem = SecretFile.problem(mode: info.st_mode, owner: info.st_uid, user: geteuid()) { return problem }
        var content = [UInt8](repeating: 0, count: Self.keySize)
        let count = unsafe read(file, &content, content.count)
        guard count > 0 else { return "cannot be read, or is empty; name a private key in PEM format" }
        let isEncrypted = String(decoding: content[..<count], as: UTF8.self).contains("ENCRYPTED")
        return isEncrypted && privateKeyPassword == nil ? "is encrypted, and there is no password for it; set one" : nil
    }

    /// Whether the C library could not separate a text from the others: it accepts all of them as one, with commas.
    private static func isUnusable(_ text: String) -> Bool {
        text.utf8.contains { $0 < 0x20 || $0 == UInt8(ascii: ",") }
    }

    /// The validation error of the password, or `nil` if it is valid.
    var passwordProblem: String? {
        guard let password = privateKeyPassword else { return nil }
        return password.isEmpty || Self.isUnusable(password)
            ? "is empty or contains a comma or a control character; it must be nil for a key without a password" : nil
    }

    /// Checks that a connection with this configuration can be attempted.
    ///
    /// - Throws: ``ZooKeeperError`` with code `.invalidConfiguration`, whose message names the setting, the reason and
    ///   the remedy.
    func requireUsable() throws(ZooKeeperError) {
        guard Self.isSupported else {
            throw ZooKeeperError(.invalidConfiguration, message: "tls is set, and \(Self.unsupported)")
        }
        guard let (file, problem) = fileProblem else { return }
        throw ZooKeeperError(
            .invalidConfiguration, message: "tls.\(file.rawValue) is \"\(path(of: file))\", which \(problem)")
    }
}
