import Glibc
import ZooKeeper

/// A small file that the user names in a setting.
package enum SmallFile {
    /// The largest size in bytes.
    static let maximumSize = 65_536

    /// Reads a file.
    ///
    /// - Parameter check: Returns what is wrong with the access to the file, or `nil`.
    static func read(_ path: String, check: (stat) -> String?) throws(SettingFileError) -> [UInt8] {
        // Opening a FIFO would otherwise wait for a writer.
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard file >= 0 else { throw SettingFileError("cannot be read: \(String(cString: strerror(errno)))") }
        defer { close(file) }
        var info = stat()
        guard fstat(file, &info) == 0 else {
            throw SettingFileError("cannot be read: \(String(cString: strerror(errno)))")
        }
        guard info.st_mode & S_IFMT == S_IFREG else { throw SettingFileError("is not a regular file; name a file") }
        if let problem = check(info) { throw SettingFileError(problem) }
        return try content(of: file)
    }

    /// Reads a file with secrets, which other users must not read.
    package static func readSecret(_ path: String) throws(SettingFileError) -> [UInt8] {
        try read(path) { SecretFile.problem(mode: $0.st_mode, owner: $0.st_uid, user: geteuid()) }
    }

    private static func content(of file: Int32) throws(SettingFileError) -> [UInt8] {
        var content: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 8192)
        while content.count <= maximumSize {
            let count = Glibc.read(file, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw SettingFileError("cannot be read: \(String(cString: strerror(errno)))") }
            guard count > 0 else { return content }
            content += buffer[..<count]
        }
        throw SettingFileError("is larger than \(maximumSize) bytes; name a smaller file")
    }

    /// Returns the lines with their numbers, without empty lines and lines that start with `#`.
    static func lines(of content: [UInt8]) -> [(number: Int, line: ArraySlice<UInt8>)] {
        content.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated()
            .filter { _, line in
                line.first { !isSpace($0) }.map { $0 != UInt8(ascii: "#") } ?? false
            }
            .map { ($0 + 1, $1) }
    }

    /// Whether a byte is white space.
    static func isSpace(_ byte: UInt8) -> Bool { [0x20, 0x09, 0x0d].contains(byte) }

    /// Reads a secret that is the only line of a file.
    static func secretLine(of path: String) throws(SettingFileError) -> String {
        var content = try readSecret(path)
        if content.last == UInt8(ascii: "\n") { content.removeLast() }
        guard let text = String(validating: content, as: UTF8.self), !text.isEmpty,
            !text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f })
        else { throw SettingFileError("must contain one line of text") }
        return text
    }
}

/// The error about a file that cannot be used.
package struct SettingFileError: Error, CustomStringConvertible {
    /// What is wrong with the file and what to do, as a predicate of the file's name.
    package var problem: String

    init(_ problem: String) { self.problem = problem }

    package var description: String { "the file \(problem)" }
}
