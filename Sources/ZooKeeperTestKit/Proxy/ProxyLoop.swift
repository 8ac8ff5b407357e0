import Glibc
import Synchronization

/// A command of a proxy's owner to its thread.
enum ProxyCommand: Sendable {
    case cut
    case refuse
    case accept
    case change(@Sendable (inout ProxySettings) -> Void)
    case end
}

/// The pending commands to a proxy's thread, and the socket that wakes it.
final class ProxyMailbox: Sendable {
    private struct Entry {
        var command: ProxyCommand
        var done: CheckedContinuation<Void, Never>?
    }

    private struct Storage {
        var entries: [Entry] = []
        var hasEnded = false
    }

    private let storage = Mutex(Storage())
    private let sender: Int32
    /// The socket that becomes readable when there are commands.
    let receiver: Int32

    init() throws {
        var ends: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else { throw TestKitError.system("socketpair") }
        self.sender = ends[0]
        self.receiver = ends[1]
        _ = fcntl(self.receiver, F_SETFL, O_NONBLOCK)
    }

    deinit {
        close(self.sender)
        close(self.receiver)
    }

    /// Sends a command, and returns when it has been executed.
    ///
    /// After the end of the proxy, commands have no effect.
    func send(_ command: ProxyCommand) async {
        await withCheckedContinuation { continuation in
            self.add(Entry(command: command, done: continuation))
        }
    }

    /// Sends a command without waiting for its execution.
    func post(_ command: ProxyCommand) { self.add(Entry(command: command, done: nil)) }

    private func add(_ entry: Entry) {
        let hasEnded = self.storage.withLock { storage in
            if !storage.hasEnded { storage.entries.append(entry) }
            return storage.hasEnded
        }
        if hasEnded { entry.done?.resume() } else { _ = Glibc.send(self.sender, [1], 1, Int32(MSG_NOSIGNAL)) }
    }

    /// Executes the pending commands.
    ///
    /// Called on the proxy's thread.
    func drain(_ perform: (ProxyCommand) -> Void) {
        var bytes = [UInt8](repeating: 0, count: 64)
        while recv(self.receiver, &bytes, bytes.count, 0) > 0 {}
        let entries = self.storage.withLock { storage in
            defer { storage.entries = [] }
            return storage.entries
        }
        for entry in entries {
            perform(entry.command)
            entry.done?.resume()
        }
    }

    /// Completes all commands from now on without executing them.
    func end() {
        let entries = self.storage.withLock { storage in
            storage.hasEnded = true
            defer { storage.entries = [] }
            return storage.entries
        }
        for entry in entries { entry.done?.resume() }
    }
}

/// The event loop of a proxy's thread.
///
/// Created and used only on that thread.
final class ProxyLoop {
    private let listener: Int32
    private let plan: ProxiedConnection.Plan
    private let mailbox: ProxyMailbox
    private let observations: Observed<ProxyObservations>
    private var settings = ProxySettings()
    private var connections: [ProxiedConnection] = []
    private var isAccepting = true
    private var hasEnded = false
    private var buffer = [UInt8](repeating: 0, count: 65_536)

    init(
        listener: Int32, plan: ProxiedConnection.Plan, mailbox: ProxyMailbox,
        observations: Observed<ProxyObservations>
    ) {
        self.listener = listener
        self.plan = plan
        self.mailbox = mailbox
        self.observations = observations
    }

    func run() {
        while !self.hasEnded { self.turn() }
        self.mailbox.end()
    }

    private func turn() {
        let now = ContinuousClock.now
        var sockets = [
            pollfd(fd: self.mailbox.receiver, events: Int16(POLLIN), revents: 0),
            pollfd(fd: self.isAccepting ? self.listener : -1, events: Int16(POLLIN), revents: 0),
        ]
        for connection in self.connections {
            sockets.append(self.interest(connection.client, connection.clientEvents(self.settings, now)))
            sockets.append(self.interest(connection.server, connection.serverEvents(self.settings, now)))
        }
        poll(&sockets, nfds_t(sockets.count), self.patience(now))
        self.mailbox.drain { self.perform($0) }
        if sockets[1].revents != 0 { self.acceptAll() }
        let later = ContinuousClock.now
        for (index, connection) in self.connections.enumerated() where !connection.isClosed {
            let first = 2 + 2 * index
            let isPolled = first + 1 < sockets.count
            connection.advance(
                clientReady: isPolled ? Int32(sockets[first].revents) : 0,
                serverReady: isPolled ? Int32(sockets[first + 1].revents) : 0,
                settings: &self.settings, buffer: &self.buffer, now: later)
        }
        self.connections.removeAll { $0.isClosed }
    }

    /// Returns the entry to poll a socket.
    ///
    /// A socket without events is left out, because otherwise the end of its connection would be reported again and
    /// again.
    private func interest(_ socket: Int32, _ events: Int32) -> pollfd {
        pollfd(fd: events == 0 ? -1 : socket, events: Int16(events), revents: 0)
    }

    /// Returns the time until the next write is due, in milliseconds, rounded up; -1 for no limit.
    private func patience(_ now: ContinuousClock.Instant) -> Int32 {
        let dues = self.connections.compactMap { $0.nextDue(self.settings) }.filter { $0 > now }
        guard let next = dues.min() else { return -1 }
        return Int32(clamping: (next - now).wholeMilliseconds + 1)
    }

    private func acceptAll() {
        while self.isAccepting {
            let client = Glibc.accept(self.listener, nil, nil)
            guard client >= 0 else { return }
            self.connections.append(
                ProxiedConnection(client: client, plan: self.plan, observations: self.observations))
        }
    }

    private func perform(_ command: ProxyCommand) {
        switch command {
        case .cut:
            // Clients in the queue of the listener connected before the cut as well.
            self.acceptAll()
            self.closeAll()
        case .refuse:
            // A listener that is shut down keeps its port, and refuses connections as if it did not exist.
            self.isAccepting = false
            shutdown(self.listener, Int32(SHUT_RDWR))
        case .accept:
            guard !self.isAccepting else { return }
            self.isAccepting = listen(self.listener, 128) == 0
        case .change(let change): change(&self.settings)
        case .end:
            self.closeAll()
            Glibc.close(self.listener)
            self.isAccepting = false
            self.hasEnded = true
        }
    }

    private func closeAll() {
        for connection in self.connections { connection.close(reset: true) }
    }
}
