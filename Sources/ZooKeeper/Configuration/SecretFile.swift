/// The rule for the access to files with secrets, which is the rule of PostgreSQL for private keys.
///
/// Only the owner may have access. If root owns the file and the process does not run as root, its group may also read
/// it: that is how Kubernetes mounts secrets for a pod with `fsGroup`, and how Debian protects private keys.
package enum SecretFile {
    /// Returns what is wrong with the access to a file and what to do, as a predicate of the file's name; `nil` if
    /// nothing is wrong.
    ///
    /// - Parameters:
    ///   - mode: The mode of the file.
    ///   - owner: The user ID of its owner.
    ///   - user: The effective user ID of this process.
    package static func problem(mode: UInt32, owner: UInt32, user: UInt32) -> String? {
        let groupMayRead = owner == 0 && user != 0
        guard mode & (groupMayRead ? 0o037 : 0o077) != 0 else { return nil }
        let text = String(mode & 0o777, radix: 8)
        return groupMayRead
            ? "has the mode \(text) and is owned by root; others must have no access, and its group may only read it: use "
                + "chmod 640"
            : "has the mode \(text), so that its group or others have access; it must be accessible only to its owner: use "
                + "chmod 600" + (user == 0 ? "" : ", or let root own it, with chmod 640 and a group of this process")
    }
}
