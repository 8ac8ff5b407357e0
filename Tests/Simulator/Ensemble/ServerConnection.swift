internal import ZooKeeper
internal import ZooKeeperTransport

/// A server's side of a client's connection.
final class ServerConnection {
    let socket: SimulatedSocket
    let number: Int
    /// 0 until the client has said who it is.
    var session: Int64 = 0
    /// The negotiated timeout in milliseconds.
    var timeout: Int32 = 0
    var isOpen = true {
        // What is in it holds this connection.
        didSet { if !isOpen { queue = RequestQueue() } }
    }
    /// Whether the client has been told that its session stands; until then it has nothing to say.
    var isReady = false
    /// What the session has asked for on this server and was not answered yet.
    var queue = RequestQueue()

    init(_ socket: SimulatedSocket, number: Int) {
        self.socket = socket
        self.number = number
    }

    func send(_ packet: ServerPacket) {
        if isOpen { socket.send(packet) }
    }
}

/// A session's requests on one server: they are answered in their order.
///
/// A connection that resumes the session takes the queue of the one before over, so that it too waits for earlier writes.
final class RequestQueue {
    private var items: [QueuedRequest] = []
    private var head = 0

    var isEmpty: Bool { head == items.count }
    var first: QueuedRequest? { isEmpty ? nil : items[head] }

    func append(_ item: QueuedRequest) {
        items.append(item)
    }

    func removeFirst() {
        head += 1
        if head == items.count {
            items.removeAll(keepingCapacity: true)
            head = 0
        }
    }
}

/// A request that waits for its turn, or for the ensemble.
struct QueuedRequest {
    enum Kind {
        /// Answered here.
        case local(TransportRequest)
        /// Answered when the transaction with this ticket is applied.
        case write(ticket: Int)
        case sync(ticket: Int)
        case createSession(ticket: Int)
        case closeSession(ticket: Int)
        case setWatches(since: Int64, data: [String], missing: [String], children: [String])
        case ping

        /// What it waits for from the ensemble.
        var ticket: Int? {
            switch self {
            case .write(let ticket), .sync(let ticket), .createSession(let ticket), .closeSession(let ticket): ticket
            case .local, .setWatches, .ping: nil
            }
        }
    }

    var connection: ServerConnection
    var number: Int
    var kind: Kind
}
