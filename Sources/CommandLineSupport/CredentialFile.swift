package import ZooKeeper

/// A file with credentials: one per line, as `digest:user:password`.
///
/// Empty lines and lines that start with `#` are ignored. Errors contain the numbers of lines, but not their content.
package enum CredentialFile {
    /// The schemes whose credentials a client presents, with an example.
    ///
    /// The other schemes take the identity from the connection.
    private static let schemes = [
        (name: "digest", example: "digest:user:password"), (name: "ensemble", example: "ensemble:name"),
    ]

    /// Reads the credentials of a file that other users must not read.
    package static func read(_ path: String) throws(SettingFileError) -> [AuthCredential] {
        try parse(SmallFile.readSecret(path))
    }

    /// Returns the credentials in the content of a file.
    package static func parse(_ content: [UInt8]) throws(SettingFileError) -> [AuthCredential] {
        var credentials: [AuthCredential] = []
        for (number, line) in SmallFile.lines(of: content) {
            if let problem = problem(of: line) { throw SettingFileError("is invalid: line \(number) \(problem)") }
            let parts = line.split(separator: UInt8(ascii: ":"), maxSplits: 1)
            let scheme = String(decoding: parts[0], as: UTF8.self)
            let credential = AuthCredential(scheme: scheme, credential: Array(parts[1]))
            if !credentials.contains(credential) { credentials.append(credential) }
        }
        guard !credentials.isEmpty else {
            throw SettingFileError("contains no credentials; write one per line, such as digest:user:password")
        }
        return credentials
    }

    /// Returns what is wrong with a line, or `nil` if it is a credential.
    private static func problem(of line: ArraySlice<UInt8>) -> String? {
        if line.first.map(SmallFile.isSpace) == true || line.last.map(SmallFile.isSpace) == true {
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
}
