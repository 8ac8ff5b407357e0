import Testing

@testable import ZooKeeper

/// The error that some work throws; records an issue when it throws none, or one that is no ``ZooKeeperError``.
func zooKeeperError(
    sourceLocation: SourceLocation = #_sourceLocation,
    _ work: () throws -> Void
) -> ZooKeeperError? {
    do {
        try work()
        Issue.record("no error was thrown", sourceLocation: sourceLocation)
    } catch let error as ZooKeeperError {
        return error
    } catch {
        Issue.record("thrown: \(error)", sourceLocation: sourceLocation)
    }
    return nil
}
