internal import Glibc
internal import Synchronization
internal import ZooKeeper

/// The events inside a gate, counted in stripes so that threads do not compete for a cache line.
///
/// An event that enters takes a place first and reads the closed flag second. A gate that closes sets the flag first
/// and counts the places second. All four operations have one sequentially consistent order. So either the event sees
/// the flag, or the gate sees the event.
///
/// On two cores, two threads through one gate take as long as one thread alone: each uses the places, and counts the
/// references, of its own stripe. With one reference count for all, they took five times as long.
struct EventCounter: Sendable {
    static let stripeCount = 16

    private let stripes: [EventStripe]

    init(core: GateCore) {
        stripes = (0..<Self.stripeCount).map { _ in EventStripe(core: core) }
    }

    /// The stripe of the calling thread.
    @inline(__always)
    var ownStripe: EventStripe { stripes[ThreadNumber.current % Self.stripeCount] }

    /// The number of events inside; zero after the gate has closed means that none is or will be inside.
    var total: Int { stripes.reduce(0) { $0 + $1.total } }

    /// The time when the oldest event inside entered.
    var oldest: Int64? { stripes.compactMap(\.oldest).min() }
}

/// The place that an event takes in a stripe, with a number that distinguishes it from later uses of the same place.
struct EventPlace: Sendable {
    var index: Int
    /// The state of the place while the event is inside; odd.
    var state: Int
}

/// A part of an ``EventCounter``, with a few places that are taken without a lock and any number under a lock.
final class EventStripe: Sendable {
    /// A place for an event, which is free while its state is even.
    ///
    /// Entering and leaving add one each, so a permit that is released for the second time does not match.
    private struct Place: ~Copyable {
        let state = Atomic(0)
        /// The time, in nanoseconds of the clock, when the event entered.
        let since = Atomic<Int64>(0)
    }

    /// The places that are taken while the others are occupied, for instance by operations that suspend.
    private struct Overflow {
        var places: [(state: Int, since: Int64)] = []
        var free: [Int] = []
    }

    static let placeCount = 6

    let core: GateCore
    private let places = InlineArray<6, Place> { _ in Place() }
    private let overflow = Mutex(Overflow())
    private let overflowCount = Atomic(0)
    /// Keeps what other objects have on the same cache lines, which processors fetch in pairs, away from the places.
    private let padding: InlineArray<16, Int> = .init(repeating: 0)

    init(core: GateCore) {
        self.core = core
    }

    /// Counts an event in.
    @inline(__always)
    func enter() -> EventPlace {
        for index in 0..<Self.placeCount {
            let state = places[index].state.load(ordering: .relaxed)
            if state & 1 == 0,
                places[index].state.compareExchange(
                    expected: state, desired: state &+ 1, ordering: .sequentiallyConsistent
                ).exchanged
            {
                return EventPlace(index: index, state: state &+ 1)
            }
        }
        return enterOverflow()
    }

    /// Records when an event entered.
    @inline(__always)
    func note(_ place: EventPlace, since nanoseconds: Int64) {
        if place.index < Self.placeCount {
            places[place.index].since.store(nanoseconds, ordering: .relaxed)
        } else {
            overflow.withLock { $0.places[place.index - Self.placeCount].since = nanoseconds }
        }
    }

    /// Counts an event out, and reports it to a gate that waits for that.
    ///
    /// - Returns: Whether the event was inside; otherwise nothing changes.
    @inline(__always)
    func leave(_ place: EventPlace) -> Bool {
        let wasInside =
            if place.index < Self.placeCount {
                places[place.index].state.compareExchange(
                    expected: place.state, desired: place.state &+ 1, ordering: .sequentiallyConsistent
                ).exchanged
            } else {
                leaveOverflow(place)
            }
        if core.admitUntil.load(ordering: .sequentiallyConsistent) == GateCore.closed { core.drainWakeUp.signal() }
        return wasInside
    }

    /// Whether the event that took a place has not left it.
    func isInside(_ place: EventPlace) -> Bool {
        if place.index < Self.placeCount {
            places[place.index].state.load(ordering: .relaxed) == place.state
        } else {
            overflow.withLock { $0.places[place.index - Self.placeCount].state == place.state }
        }
    }

    private func enterOverflow() -> EventPlace {
        overflow.withLock { overflow in
            let index = overflow.free.popLast() ?? overflow.places.count
            if index == overflow.places.count { overflow.places.append((0, 0)) }
            overflow.places[index].state += 1
            overflowCount.add(1, ordering: .sequentiallyConsistent)
            return EventPlace(index: index + Self.placeCount, state: overflow.places[index].state)
        }
    }

    private func leaveOverflow(_ place: EventPlace) -> Bool {
        overflow.withLock { overflow in
            let index = place.index - Self.placeCount
            guard overflow.places[index].state == place.state else { return false }
            overflow.places[index].state += 1
            overflow.free.append(index)
            overflowCount.subtract(1, ordering: .sequentiallyConsistent)
            return true
        }
    }

    /// The number of events that entered on this stripe and are inside.
    var total: Int {
        (0..<Self.placeCount).reduce(overflowCount.load(ordering: .sequentiallyConsistent)) {
            $0 + places[$1].state.load(ordering: .sequentiallyConsistent) & 1
        }
    }

    /// The time when the oldest of these events entered.
    var oldest: Int64? {
        let first = (0..<Self.placeCount).filter { places[$0].state.load(ordering: .sequentiallyConsistent) & 1 == 1 }
            .map { places[$0].since.load(ordering: .relaxed) }.min()
        let others = overflow.withLock { overflow in
            overflow.places.filter { $0.state & 1 == 1 }.map(\.since).min()
        }
        return [first, others].compactMap(\.self).min()
    }
}

/// A number for each thread, in the order in which the threads first ask, so that up to 16 threads have different
/// stripes.
enum ThreadNumber {
    private static let last = Atomic(0)
    private static let key = {
        var key = pthread_key_t()
        let code = pthread_key_create(&key, nil)
        precondition(code == 0, "no thread-specific data is left: pthread_key_create failed with code \(code)")
        return key
    }()

    static var current: Int {
        if let known = pthread_getspecific(key) { return Int(bitPattern: known) }
        let number = last.add(1, ordering: .relaxed).newValue
        pthread_setspecific(key, UnsafeRawPointer(bitPattern: number))
        return number
    }
}
