internal import HeapModule
internal import ZooKeeper

/// What is to happen in a simulated world, in the order of its instants.
///
/// The heap holds numbers alone, and the actions lie beside it: an entry that owned its action would have references
/// counted at each place that it passes on its way through the heap.
struct Agenda {
    private struct Entry: Comparable {
        var time: MonotonicInstant
        /// Chooses among entries of one instant; no two have the same.
        var tie: UInt64
        var slot: Int

        static func < (left: Entry, right: Entry) -> Bool {
            left.time == right.time ? left.tie < right.tie : left.time < right.time
        }
        static func == (left: Entry, right: Entry) -> Bool { left.tie == right.tie }
    }

    struct Item {
        /// Whose doing it is; `nil` for the world's.
        var process: SimulatedProcess?
        var action: () -> Void
    }

    private var entries = Heap<Entry>()
    private var items: [Item?] = []
    private var freeSlots: [Int] = []

    /// When the next thing happens.
    var nextTime: MonotonicInstant? { entries.min?.time }

    mutating func add(_ item: Item, at time: MonotonicInstant, tie: UInt64) {
        let slot: Int
        if let free = freeSlots.popLast() {
            slot = free
            items[slot] = item
        } else {
            slot = items.count
            items.append(item)
        }
        entries.insert(Entry(time: time, tie: tie, slot: slot))
    }

    /// Takes what happens next, if it does by an instant.
    mutating func popNext(until end: MonotonicInstant) -> (time: MonotonicInstant, item: Item)? {
        guard let next = entries.min, next.time <= end else { return nil }
        entries.removeMin()
        freeSlots.append(next.slot)
        guard let item = items[next.slot].take() else { return nil }
        return (next.time, item)
    }
}
