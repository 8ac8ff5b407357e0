import Glibc
package import ZooKeeper

/// A file with credentials: one per line, as `digest:user:password`.
///
/// Empty lines and lines that start with `#` are ignored. Errors contain the numbers of lines, but not their content.
package enum CredentialFile {
    /// The largest size in bytes.
    package static let maximumSize = 65_536

    /// The schemes whose credentials a client presents, with an example.
    ///
    /// The other schemes take the identity from the connection.
    private static let schemes = [
        (name: "digest", example: "digest:user:password"), (name: "ensemble", example: "ensemble:name"),
    ]

    /// Reads the credentials of a file that only its owner can read.
    package static func read(_ path: String) throws(CredentialFileError) -> [AuthCredential] {
        try parse(try content(ofFile: path))
    }

    /// Reads the content of a file that only its owner can read.
    package static func content(ofFile path: String) throws(CredentialFileError) -> [UInt8] {
        // Opening a FIFO would otherwise wait for a writer.
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard file >= 0 else { throw CredentialFileError("cannot be read: \(String(cString: strerror(errno)))") }
        defer { close(file) }
        var info = stat()
        guard fstat(file, &info) == 0 else {
            throw CredentialFileError("cannot be read: \(String(cString: strerror(errno)))")
        }
        try check(info)
        return try content(of: file)
    }

    private static func check(_ info: stat) throws(CredentialFileError) {
        guard info.st_mode & S_IFMT == S_IFREG else {
            throw CredentialFileError("is not a regular file; name a file with credentials")
        }
        guard info.st_mode & (S_IRWXG | S_IRWXO) == 0 else {
            let mode = String(info.st_mode & 0o777, radix: 8)
            throw CredentialFileError(
                "has the mode \(mode), so that its group or others have access; it must be accessible only to its "
                    + "owner: use chmod 600")
        }
    }

    private static func content(of file: Int32) throws(CredentialFileError) -> [UInt8] {
        var content: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 8192)
        while content.count <= maximumSize {
            let count = Glibc.read(file, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw CredentialFileError("cannot be read: \(String(cString: strerror(errno)))") }
            guard count > 0 else { return content }
            content += buffer[..<count]
        }
        throw CredentialFileError("is larger than \(maximumSize) bytes; name another file")
    }

    /// Returns the credentials in the content of a file.
    package static func parse(_ content: [UInt8]) throws(CredentialFileError) -> [AuthCredential] {
        var credentials: [AuthCredential] = []
        let lines = content.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() {
            guard line.contains(where: { !isSpace($0) }), line.first(where: { !isSpace($0) }) != UInt8(ascii: "#")
            else { continue }
            if let problem = problem(of: line) { throw CredentialFileError("is invalid: line \(index + 1) \(problem)") }
            let parts = line.split(separator: UInt8(ascii: ":"), maxSplits: 1)
            let scheme = String(decoding: parts[0], as: UTF8.self)
            let credential = AuthCredential(scheme: scheme, credential: Array(parts[1]))
            if !credentials.contains(credential) { credentials.append(credential) }
        }
        guard !credentials.isEmpty else {
            throw CredentialFileError("contains no credentials; write one per line, such as digest:user:password")
        }
        return credentials
    }

    /// Returns what is wrong with a line, or `nil` if it is a credential.
    private static func problem(of line: ArraySlice<UInt8>) -> String? {
        if line.first.map(isSpace) == true || line.last.map(isSpace) == true {
            return "starts or ends with white space; remove it, because it would be part of the credential"
        }
        if line.contains(where: { $0 < 0x20 || $0 == 0x7f }) { return "contains a control character; remove it" }
        let parts = line.split(separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
        let names = schemes.map(\.name).joined(separator: " or ")
        guard let scheme = schemes.first(where: { $0.name.utf8.elementsEqual(parts[0]) }) else {
            return "does not start with a known scheme and a colon; use \(names), as in digest:user:password"
        }
        let credential = parts.dropFirst().first ?? []
        let user = credential.prefix { $0 != UInt8(ascii: ":") }
        let isComplete = scheme.name == "digest" ? !user.isEmpty && user.count < credential.count - 1 : !user.isEmpty
        return isComplete ? nil : "is incomplete; write it as \(scheme.example)"
    }

    private static func isSpace(_ byte: UInt8) -> Bool { [0x20, 0x09, 0x0d].contains(byte) }
}

/// The error about a file whose credentials cannot be used.
package struct CredentialFileError: Error, CustomStringConvertible {
    /// What is wrong with the file and what to do, as a predicate of the file's name.
    package var problem: String

    init(_ problem: String) { self.problem = problem }

    package var description: String { "the file with credentials \(problem)" }
}
