import Glibc
import Testing
import ZooKeeperRecipes

@Suite struct FencedFileTests {
    private func token(_ number: Int64) -> FencingToken { FencingToken(rawValue: number) }

    /// Runs a body with a file in a folder of its own.
    fileprivate func withFile(_ body: (FencedFile) async throws -> Void) async throws {
        var template = Array("/tmp/fenced-file-XXXXXX".utf8CString)
        let isMade = mkdtemp(&template) != nil
        try #require(isMade)
        let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let file = FencedFile(path: "\(folder)/value")
        defer {
            for name in ["value", "value.token", "value.lock"] { unlink("\(folder)/\(name)") }
            rmdir(folder)
        }
        try await body(file)
    }

    private func contents(_ path: String) -> String? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var buffer = [UInt8](repeating: 0, count: 100_000)
        let count = fread(&buffer, 1, buffer.count, file)
        return String(decoding: buffer.prefix(count), as: UTF8.self)
    }

    @Test func `many writes at once need no thread each`() async {
        // In a process of its own: no other test starts threads there.
        await #expect(processExitsWith: .success) {
            try await FencedFileTests().withFile { file in
                let before = try threadCount()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<500 { group.addTask { try await file.write([1], token: FencingToken(rawValue: 1)) } }
                    try await group.next()
                    // The queue's own, and those that the runtime starts for the tasks.
                    #expect(try threadCount() < before + 50)
                    try await group.waitForAll()
                }
                #expect(file.counts.accepted == 500)
            }
        }
    }

    @Test func `a lower token than the highest is refused, and counted`() async throws {
        try await withFile { file in
            #expect(try await file.registers() == FencingRegisters())
            try await file.write(Array("one".utf8), token: token(5))
            try await file.write(Array("two".utf8), token: token(5))
            let other = FencedFile(path: file.path)
            try await other.write(Array("three".utf8), token: token(9))
            let error = await #expect(throws: FencingError.self) {
                try await file.write(Array("late".utf8), token: token(8))
            }
            #expect(error?.code == .staleToken && error?.highest == token(9))
            #expect(contents(file.path) == "three")
            #expect(try await file.registers().highest == token(9))
            #expect(file.counts.accepted == 2 && file.counts.rejected == 1)
        }
    }

    @Test func `shared tokens that are valid together all write, and none after an exclusive one`() async throws {
        func shared(_ number: Int64) -> FencingToken { FencingToken(rawValue: number, kind: .shared) }
        try await withFile { file in
            try await file.write([1], token: shared(101))
            try await file.write([2], token: shared(100))
            #expect(contents("\(file.path).token") == "101 0\n")
            await #expect(throws: FencingError.self) { try await file.write([3], token: token(100)) }
            try await file.write([4], token: token(105))
            let error = await #expect(throws: FencingError.self) { try await file.write([5], token: shared(101)) }
            #expect(error?.highest == token(105))
            try await FencedFile(path: file.path).write([6], token: shared(107))
            try await file.write([7], token: shared(106))
            await #expect(throws: FencingError.self) { try await file.write([8], token: token(105)) }
            #expect(contents(file.path) == "\u{7}")
            #expect(try await file.registers().description == "107 105")
        }
    }

    @Test func `many writers leave the value of the highest token, whole`() async throws {
        try await withFile { file in
            await withTaskGroup(of: Void.self) { group in
                for number in 1...20 {
                    group.addTask {
                        let value = Array(String(repeating: "\(number),", count: 10_000).utf8)
                        try? await file.write(value, token: token(Int64(number)))
                    }
                }
            }
            #expect(contents(file.path)?.hasPrefix("20,20,") == true)
            #expect(file.counts.accepted + file.counts.rejected == 20)
        }
    }

    @Test func `a folder that is not there is told`() async throws {
        let error = await #expect(throws: FencingError.self) {
            try await FencedFile(path: "/nowhere/value").write([], token: token(1))
        }
        #expect(error?.code == .fileSystem)
    }
}

/// The threads of this process.
private func threadCount() throws -> Int {
    let tasks = try #require(opendir("/proc/self/task"))
    defer { closedir(tasks) }
    var count = 0
    while readdir(tasks) != nil { count += 1 }
    return count
}
