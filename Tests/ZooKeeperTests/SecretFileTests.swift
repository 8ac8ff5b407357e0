import Testing

@testable import ZooKeeper

/// The rule for files with secrets.
@Suite struct SecretFileTests {
    /// The mode, the owner, the user of the process, and the remedy; `nil` if the file is accepted.
    @Test(
        arguments: [
            (0o600, 1000, 1000, nil), (0o400, 1000, 1000, nil), (0o600, 0, 0, nil), (0o600, 1000, 0, nil),
            // Kubernetes with fsGroup.
            (0o440, 0, 1000, nil), (0o640, 0, 1000, nil), (0o100440, 0, 1000, nil),
            (0o440, 0, 0, "chmod 600"), (0o440, 1000, 1000, "chmod 600"), (0o640, 1000, 0, "chmod 600"),
            (0o440, 1001, 1000, "chmod 600"), (0o644, 0, 1000, "chmod 640"), (0o444, 0, 1000, "chmod 640"),
            (0o660, 0, 1000, "chmod 640"), (0o450, 0, 1000, "chmod 640"), (0o604, 1000, 1000, "chmod 600"),
            (0o602, 0, 1000, "chmod 640"), (0o601, 0, 0, "chmod 600"),
        ] as [(UInt32, UInt32, UInt32, String?)])
    func `only its owner, or the group of a file of root, may read a secret`(
        mode: UInt32, owner: UInt32, user: UInt32, remedy: String?
    ) {
        let problem = SecretFile.problem(mode: mode, owner: owner, user: user)
        if let remedy {
            #expect(problem?.contains("use \(remedy)") == true, "\(problem ?? "")")
        } else {
            #expect(problem == nil)
        }
    }
}
