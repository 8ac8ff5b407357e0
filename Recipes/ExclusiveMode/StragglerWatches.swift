internal import Synchronization
internal import ZooKeeper

/// Watches the contenders in front of a window until the window does not wait for them any more, however that ends.
final class StragglerWatches: Sendable {
    enum Sighting: Sendable {
        case seen(String, data: [UInt8])
        case gone(String)
        /// It could not be read or watched: to be looked at again after a pause.
        case failed(String, ZooKeeperError)
    }

    private struct Watch {
        var sink: WatchSink
        var path: String
        var kind: WatchedKind
    }

    private struct State {
        var isOver = false
        var lastNumber = 0
        var watches: [Int: Watch] = [:]
    }

    private let session: LiveSession
    private let directory: String
    private let tell: @Sendable (Sighting) -> Void
    private let state = Mutex(State())

    /// - Parameter tell: Called on the delivering thread.
    init(in directory: String, session: LiveSession, tell: @escaping @Sendable (Sighting) -> Void) {
        self.directory = directory
        self.session = session
        self.tell = tell
    }

    /// Reads what a contender says, and watches it.
    func look(at node: String) {
        watch(node, at: "\(directory)/\(node)", .data) { [self] sink, path in
            session.post(.data(path: path, watch: sink)) { [self] result in
                switch result {
                case .success(.data(let data, _)): tell(.seen(node, data: data))
                case .failure(let error) where error.code == .noNode: tell(.gone(node))
                case .failure(let error) where error.code == .noAuth: lookInDirectory(for: node)
                case .failure(let error): tell(.failed(node, error))
                default: break
                }
            }
        }
    }

    /// Servers tell nobody of the end of a znode that they may not read (CVE-2024-23944); its directory tells it.
    private func lookInDirectory(for node: String) {
        watch(node, at: directory, .children) { [self] sink, path in
            session.post(.children(path: path, watch: sink)) { [self] result in
                switch result {
                case .success(.children(let names, _)) where names.containsBytes(of: node): break
                case .failure(let error) where error.code != .noNode: tell(.failed(node, error))
                default: tell(.gone(node))
                }
            }
        }
    }

    /// Gives all watches up; what is still on its way sets none.
    func end() {
        let watches = state.withLock { state in
            state.isOver = true
            defer { state.watches = [:] }
            return state.watches.orderedValues
        }
        for watch in watches { session.giveUp(watch.sink, at: watch.path, kind: watch.kind) }
    }

    private func watch(_ node: String, at path: String, _ kind: WatchedKind, ask: (WatchSink, String) -> Void) {
        let sink: WatchSink? = state.withLock { state in
            guard !state.isOver else { return nil }
            state.lastNumber += 1
            let number = state.lastNumber
            let sink = WatchSink { [weak self] event in self?.fired(number, event, on: node) }
            state.watches[number] = Watch(sink: sink, path: path, kind: kind)
            return sink
        }
        if let sink { ask(sink, path) }
    }

    private func fired(_ number: Int, _ event: WatchEvent, on node: String) {
        state.withLock { _ = $0.watches.removeValue(forKey: number) }
        if event.isDeleted {
            tell(.gone(node))
        } else if !event.isSessionEnded {
            look(at: node)
        }
    }
}
