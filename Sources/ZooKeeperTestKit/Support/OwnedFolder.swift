import Glibc
import Synchronization

/// A new, empty folder that is removed with this object, or at the next start if this process is killed.
///
/// The owner holds a lock on a file in the folder. The operating system releases the lock when the process of the owner
/// has ended, however it ended. So a folder whose lock is free has no owner any more.
package final class OwnedFolder: Sendable {
    /// The path of the folder.
    package let path: String
    /// The descriptor of the locked file; negative once the folder has been removed or is kept.
    private let mark: Mutex<Int32>

    private static let markName = ".owner"
    private static let suffix = "XXXXXX"

    /// Creates a folder, after removing those with the same prefix whose owners were killed.
    ///
    /// - Parameters:
    ///   - prefix: The prefix of the folder's name.
    ///   - parent: The folder in which it is created.
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

    /// Removes the folder with its content.
    package func remove() {
        mark.withLock { mark in
            guard mark >= 0 else { return }
            Self.empty(path)
            close(mark)
            mark = -1
        }
    }

    /// Keeps the folder permanently.
    package func keep() {
        mark.withLock { mark in
            guard mark >= 0 else { return }
            unlink("\(path)/\(Self.markName)")
            close(mark)
            mark = -1
        }
    }

    /// Locks a new file before it gives the file its name, so that no other process sees the file unlocked.
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

    /// Removes the content of a folder, and its lock file last.
    ///
    /// So a folder that is only partly removed can still be recognized.
    private static func empty(_ path: String) {
        for name in fileNames(in: path) where name != markName && unlink("\(path)/\(name)") != 0 {
            removeFolder("\(path)/\(name)")
        }
        unlink("\(path)/\(markName)")
        rmdir(path)
    }
}

// MARK: Folders of killed processes

extension OwnedFolder {
    /// Removes this user's folders whose owners have ended, and keeps every folder that may have an owner.
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

    /// Whether a name still refers to the file that was opened by that name.
    private static func isFile(_ descriptor: Int32, at name: String) -> Bool {
        var (opened, named) = (stat(), stat())
        guard fstat(descriptor, &opened) == 0, lstat(name, &named) == 0 else { return false }
        return opened.st_dev == named.st_dev && opened.st_ino == named.st_ino && opened.st_mode & S_IFMT == S_IFREG
    }
}
