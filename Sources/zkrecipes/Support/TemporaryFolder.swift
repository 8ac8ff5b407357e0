import Glibc
import Synchronization

/// A folder for files that are removed with this value.
final class TemporaryFolder: Sendable {
    let path: String
    private let isKept = Mutex(false)

    init() throws(FileError) {
        let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(parent)/zkrecipes-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw FileError("mkdtemp", "\(parent)/zkrecipes-XXXXXX") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Leaves the files where they are, and says where.
    func keep() {
        isKept.withLock { $0 = true }
        Output.note("The logs are in \(path).")
    }

    deinit {
        guard !isKept.withLock({ $0 }), let folder = opendir(path) else { return }
        defer { closedir(folder) }
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { unlink("\(path)/\(name)") }
        }
        rmdir(path)
    }
}
