import ZooKeeper
import ZooKeeperRecipes

/// A participant of a double barrier, for one round.
final class BarrierTicket: Ticket {
    private let entered = OneShot<Result<Void, any Error>>()
    private let given = OneShot<Void>()
    private let task: Task<Void, any Error>

    init(client: ZooKeeperClient, path: String, participants: Int, who: String) throws {
        let barrier = try DistributedDoubleBarrier(client: client, path: path, participantCount: participants)
        let (entered, given) = (entered, given)
        task = Task {
            do {
                Output.tell(who, "entering \(path)")
                try await barrier.withBarrier {
                    Output.tell(who, "inside \(path)")
                    entered.set(.success(()))
                    try await given.wait()
                    Output.tell(who, "leaving \(path)")
                }
                Output.tell(who, "outside \(path)")
            } catch {
                entered.set(.failure(error))
                throw error
            }
        }
    }

    /// Waits until the round has begun, or the barrier fails.
    func enter() async throws { try await entered.wait().get() }

    /// Leaves, and waits until all participants have left.
    func give() async throws {
        given.set(())
        try await task.value
    }
}
