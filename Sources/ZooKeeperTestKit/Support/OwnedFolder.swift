import Glibc
import Synchronization

/// A new, empty folder that is removed with this value, or at the next start if this process is killed.
///
/// The owner holds a lock on a file in the folder. The operating system releases it when the owner's process has ended,
/// however it ended, so that a folder whose lock is free has no owner any more.
package final class OwnedFolder: Sendable {
    /// Where the folder is.
    package let path: String
    /// The descriptor of the locked file; negative once the folder has been removed or is kept.
    private let mark: Mutex<Int32>

    private static let markName = ".owner"
    private static let suffix = "XXXXXX"

    /// Makes a folder, after removing those of the same kind whose owners were killed.
    ///
    /// - Parameters:
    ///   - prefix: What its name begins with.
    ///   - parent: The folder that it is made in.
    /// - Throws: ``TestKitError`` with code `.system`.
    package init(named prefix: String, in parent: String) throws {
        Self.removeAbandoned(prefix, in: parent)
        var template = Array("\(parent)/\(prefix)\(Self.suffix)".utf8CString)
        guard mkdtemp(&template) != nil else { throw TestKitError.system("mkdtemp in \(parent)") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        do { mark = Mutex(try Self.lock(path)) } catch {
            removeFolder(path)
            throw error
        }
    }

    deinit { remove() }

    /// Removes the folder with everything in it.
    package func remove() {
        mark.withLock { mark in
            guard mark >= 0 else { return }
            Self.empty(path)
            close(mark)
            mark = -1
        }
    }

    /// Leaves the folder where it is, for good.
    package func keep() {
        mark.withLock { mark in
            guard mark >= 0 else { return }
            unlink("\(path)/\(Self.markName)")
            close(mark)
            mark = -1
        }
    }

    /// Locks a new file and only then gives it its name, so that nobody sees it unlocked.
    private static func lock(_ path: String) throws -> Int32 {
        let (new, name) = ("\(path)/\(markName)-new", "\(path)/\(markName)")
        let mark = open(new, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard mark >= 0 else { throw TestKitError.system("open \(new)") }
        guard flock(mark, LOCK_EX | LOCK_NB) == 0, rename(new, name) == 0 else {
            defer { close(mark) }
            throw TestKitError.system("lock \(new)")
        }
        return mark
    }

    /// The mark goes last, so that a folder of which a part is left can still be recognized.
    private static func empty(_ path: String) {
        for name in fileNames(in: path) where name != markName && unlink("\(path)/\(name)") != 0 {
            removeFolder("\(path)/\(name)")
        }
        unlink("\(path)/\(markName)")
        rmdir(path)
    }
}

// MARK: What killed processes have left

extension OwnedFolder {
    /// Removes this user's folders whose owners have ended; anything that is in doubt stays.
    private static func removeAbandoned(_ prefix: String, in parent: String) {
        for name in fileNames(in: parent)
        where name.hasPrefix(prefix) && name.utf8.count == prefix.utf8.count + suffix.utf8.count {
            removeIfAbandoned("\(parent)/\(name)")
        }
    }

    private static func removeIfAbandoned(_ path: String) {
        var about = stat()
        guard lstat(path, &about) == 0, about.st_mode & S_IFMT == S_IFDIR, about.st_uid == geteuid() else { return }
        let name = "\(path)/\(markName)"
        let mark = open(name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard mark >= 0 else { return }
        defer { close(mark) }
        guard flock(mark, LOCK_EX | LOCK_NB) == 0, isFile(mark, at: name) else { return }
        empty(path)
    }

    /// Whether a name still refers to the file that was opened by it.
    private static func isFile(_ descriptor: Int32, at name: String) -> Bool {
        var (opened, named) = (stat(), stat())
        guard fstat(descriptor, &opened) == 0, lstat(name, &named) == 0 else { return false }
        return opened.st_dev == named.st_dev && opened.st_ino == named.st_ino && opened.st_mode & S_IFMT == S_IFREG
    }
}
