import CommandLineSupport
import Glibc
import ZooKeeperTestKit

/// A folder for files that are removed with this value, or at the next start if this program is killed.
final class TemporaryFolder: Sendable {
    private let folder: OwnedFolder

    var path: String { folder.path }

    init() throws(FileError) {
        let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        do { folder = try OwnedFolder(named: "zkrecipes-", in: parent.isEmpty ? "/tmp" : parent) } catch {
            throw FileError(description: "\(error)")
        }
    }

    /// Leaves the files where they are, and says where.
    func keep() {
        folder.keep()
        Output.note("The logs are in \(path).")
    }
}
