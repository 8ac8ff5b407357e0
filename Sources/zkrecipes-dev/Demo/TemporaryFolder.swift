import CommandLineSupport
import Glibc
import ZooKeeperTestKit

/// A folder that is deleted together with this value, or at the next start if this program is killed.
final class TemporaryFolder: Sendable {
    private let folder: OwnedFolder

    var path: String { folder.path }

    init() throws(FileError) {
        let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        do { folder = try OwnedFolder(named: "zkrecipes-", in: parent.isEmpty ? "/tmp" : parent) } catch {
            throw FileError(description: "\(error)")
        }
    }

    /// Keeps the files, and reports their path.
    func keep() {
        folder.keep()
        Output.report("the logs are in \(path)")
    }
}
