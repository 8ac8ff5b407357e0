import Foundation
import Testing
import ZooKeeperTestKit

/// Folders whose owners are killed, in a folder of this test's own.
@Suite struct OwnedFolderTests {
    private let parent = FileManager.default.temporaryDirectory.appending(path: "owned-\(UUID())").path()
    private let prefix = "owned-test-"

    private var names: [String] { get throws { try FileManager.default.contentsOfDirectory(atPath: parent).sorted() } }

    private func withParent(_ body: () throws -> Void) throws {
        try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: parent) }
        try body()
    }

    private func folder() throws -> OwnedFolder { try OwnedFolder(named: prefix, in: parent) }

    /// What an owner leaves that was killed: the operating system has released its lock.
    private func abandoned(_ name: String) throws -> String {
        let path = "\(parent)/\(name)"
        try FileManager.default.createDirectory(atPath: path + "/data", withIntermediateDirectories: true)
        try Data().write(to: URL(filePath: path + "/data/file"))
        try Data().write(to: URL(filePath: path + "/.owner"))
        return path
    }

    @Test func `a folder is empty at first, and is gone with its value`() throws {
        try withParent {
            do {
                let folder = try folder()
                let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
                #expect(names == [".owner"])
                try Data().write(to: URL(filePath: folder.path + "/file"))
            }
            #expect(try names.isEmpty)
        }
    }

    @Test func `the next start removes what a killed owner has left, and nothing else`() throws {
        try withParent {
            let living = try folder()
            let kept = try folder()
            kept.keep()
            let dead = try abandoned(prefix + "abcdef")
            let others = [
                try abandoned("owned-test-"), try abandoned("owned-test-abcdefg"), try abandoned("other-abcdef"),
            ]
            let unmarked = try abandoned(prefix + "ghijkl")
            try FileManager.default.removeItem(atPath: unmarked + "/.owner")
            let target = try abandoned("target-abcdef")
            try FileManager.default.createSymbolicLink(
                atPath: "\(parent)/\(prefix)mnopqr", withDestinationPath: target)
            let linked = try abandoned(prefix + "stuvwx")
            try FileManager.default.removeItem(atPath: linked + "/.owner")
            try FileManager.default.createSymbolicLink(
                atPath: linked + "/.owner", withDestinationPath: target + "/.owner")

            let next = try folder()
            #expect(!FileManager.default.fileExists(atPath: dead))
            for path in [living.path, kept.path, unmarked, target, linked, next.path] + others {
                #expect(FileManager.default.fileExists(atPath: path), "\(path)")
            }
            #expect(FileManager.default.fileExists(atPath: target + "/data/file"))
            withExtendedLifetime((living, next)) {}
        }
    }

    @Test func `a folder that is kept stays when its value has gone`() throws {
        try withParent {
            let path: String
            do {
                let folder = try folder()
                folder.keep()
                path = folder.path
            }
            _ = try folder()
            #expect(FileManager.default.fileExists(atPath: path))
        }
    }
}
