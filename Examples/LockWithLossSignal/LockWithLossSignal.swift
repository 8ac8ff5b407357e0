import ZooKeeper
import ZooKeeperRecipes

/// Writes invoices under a lock, and stops when it is notified that the lock is lost.
///
///     swift run LockWithLossSignal 127.0.0.1:2181 alice 50
@main
struct LockWithLossSignal {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 4, let invoices = Int(arguments[3]) else {
            return print("usage: LockWithLossSignal HOST:PORT NAME INVOICES")
        }
        let name = arguments[2]
        // When this process is killed, its lock is free after the session timeout.
        let settings = try ZooKeeperClientConfiguration(connectionString: arguments[1], sessionTimeout: .seconds(4))
        try await withZooKeeperClient(configuration: settings) { client in
            let mutex = try DistributedMutex(client: client, path: "/examples/invoices", id: name)
            print("\(name) asks for the lock")
            do {
                try await mutex.withLock { lease in
                    print("\(name) has locked, token \(lease.fencingToken)")
                    async let _: Void = warn(name, of: lease.states)
                    for invoice in 1...invoices {
                        // Replace it with work. It is cancelled if the lock is lost, and throws.
                        try await Task.sleep(for: .milliseconds(100))
                        // After a freeze, the process resumes before it is notified: check right before each step.
                        guard lease.isValid else { return }
                        // The store of the invoices refuses a token lower than the highest it has seen.
                        print("\(name) writes invoice \(invoice), token \(lease.fencingToken)")
                    }
                }
                print("\(name) has unlocked")
            } catch let error as RecipeError where error.code == .lost {
                // The work has ended before this error is thrown.
                print("\(name) has stopped: \(error)")
            }
        }
    }

    /// Warns of a loss before it happens, while there is still time to react.
    private static func warn(_ name: String, of states: AsyncStream<LeaseState>) async {
        for await state in states where state.isAtRisk {
            print("\(name) may lose the lock: the ensemble is silent")
        }
    }
}
