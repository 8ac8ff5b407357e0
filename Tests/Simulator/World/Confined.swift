internal import Glibc

/// A value that is touched on one thread only: the one that wrapped it.
///
/// A simulated world is a graph of plain objects on one thread. Tasks, clocks and connections of the code under test must
/// be `Sendable`, and reach it through this.
// Safe because every access checks that it is made on that thread.
package struct Confined<Value>: @unchecked Sendable {
    private let stored: Value
    private let thread = pthread_self()

    package init(_ value: Value) {
        stored = value
    }

    /// The value; on any other thread the process stops here.
    package var value: Value {
        precondition(pthread_equal(thread, pthread_self()) != 0, "a simulation is touched on its own thread only")
        return stored
    }
}
