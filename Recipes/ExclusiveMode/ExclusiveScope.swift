internal import Synchronization
internal import ZooKeeper

/// A permit or a window, while the operation that received it runs.
///
/// In this operation, a call that waits for the gate or for a window would deadlock. The window waits for the permit,
/// and the gate waits for the end of the window. The operation's task, its child tasks and all tasks that are started
/// inside with `Task {}` inherit the scope. A task that continues after the operation must not be refused, so the scope
/// records whether it has ended.
final class ExclusiveScope: Sendable {
    enum Kind: Sendable { case permit, window }

    /// The scopes of the current task, the innermost last.
    @TaskLocal private static var current: [ExclusiveScope] = []

    private let kind: Kind
    private let client: ObjectIdentifier
    private let base: ZNodePath
    private let isOver = Atomic(false)

    init(_ kind: Kind, of mode: ExclusiveMode) {
        self.kind = kind
        client = ObjectIdentifier(mode.client)
        base = mode.base
    }

    var isLive: Bool { !isOver.load(ordering: .acquiring) }

    /// Calls a closure inside the scope: tasks that it starts inherit the scope.
    func bind<Value>(_ body: () -> Value) -> Value {
        let outer = Self.current
        return Self.$current.withValue(outer.isEmpty ? [self] : outer.filter(\.isLive) + [self], operation: body)
    }

    func end() {
        isOver.store(true, ordering: .releasing)
    }

    /// Refuses a call that would deadlock.
    ///
    /// - Throws: ``RecipeError`` with code `.alreadyHeld` if the current task is inside a permit or window of the same
    ///   base path and client.
    static func check(_ mode: ExclusiveMode) throws(RecipeError) {
        let scope = current.last { scope in
            scope.isLive && scope.client == ObjectIdentifier(mode.client) && scope.base == mode.base
        }
        guard let scope else { return }
        throw RecipeError(.alreadyHeld, in: .exclusiveMode, path: mode.path, message: scope.explanation)
    }

    private var explanation: String {
        switch kind {
        case .permit:
            "the calling task is inside a permit, and a window waits for that; use the permit, or make the call in a "
                + "Task.detached that the operation does not wait for"
        case .window:
            "the calling task is inside a window, and gates and other windows wait for its end; make the call after "
                + "withWindow, or in a Task.detached that the operation does not wait for"
        }
    }
}
