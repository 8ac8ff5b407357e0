import ZooKeeper
import ZooKeeperRecipes

/// Writes invoices under a lock, and stops when it is told that the lock is lost.
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
                        // Stands for work. It is cancelled when the lock is lost, and throws.
                        try await Task.sleep(for: .milliseconds(100))
                        // A process that was frozen comes back before any signal does: right before what matters, ask.
                        guard lease.isValid else { return }
                        // Whoever stores the invoice refuses a token lower than the highest it has seen.
                        print("\(name) writes invoice \(invoice), token \(lease.fencingToken)")
                    }
                }
                print("\(name) has unlocked")
            } catch let error as RecipeError where error.code == .lost {
                // The work has ended before this is told.
                print("\(name) has stopped: \(error)")
            }
        }
    }

    /// Tells of a loss before it happens, while something can still be saved.
    private static func warn(_ name: String, of states: AsyncStream<LeaseState>) async {
        for await state in states where state.isAtRisk {
            print("\(name) may lose the lock: the ensemble is silent")
        }
    }
}
