import Testing
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// `Examples/FirstProgram`.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(10)))
struct FirstProgramTests {
    @Test func `processors pause for the task, and go on after it, and after one that was killed`() async throws {
        let scene = try await ExampleScene("first")
        let processors = [try scene.start("FirstProgram"), try scene.start("FirstProgram")]
        var last: Int64 = 0
        for processor in processors { last = max(last, try await processor.token(of: "an order")) }

        for fault in ["none", "kill -9"] {
            let task = try scene.start("FirstProgram", "task")
            last = try await task.token(of: "alone", over: last)
            if fault == "none" {
                #expect(try await task.waitForExit() == .exited(0))
            } else {
                await task.kill()
            }
            let window = last
            for processor in processors { last = max(last, try await processor.token(of: "an order", over: window)) }
        }
        for processor in processors {
            try processor.terminate()
            #expect(try await processor.waitForExit() == .exited(0))
        }
    }
}
