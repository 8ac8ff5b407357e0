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

    /// Names something that was entered.
    struct Ticket {
        fileprivate var slot: Int
        fileprivate var tie: UInt64
    }

    struct Item {
        fileprivate var tie: UInt64
        /// Whose doing it is; `nil` for the world's.
        var process: SimulatedProcess?
        var action: () -> Void

        init(tie: UInt64, process: SimulatedProcess?, action: @escaping () -> Void) {
            self.tie = tie
            self.process = process
            self.action = action
        }
    }

    private var entries = Heap<Entry>()
    private var items: [Item?] = []
    private var freeSlots: [Int] = []

    /// When the next thing happens.
    var nextTime: MonotonicInstant? {
        mutating get {
            dropCancelled()
            return entries.min?.time
        }
    }

    mutating func add(_ item: Item, at time: MonotonicInstant) -> Ticket {
        let slot: Int
        if let free = freeSlots.popLast() {
            slot = free
            items[slot] = item
        } else {
            slot = items.count
            items.append(item)
        }
        entries.insert(Entry(time: time, tie: item.tie, slot: slot))
        return Ticket(slot: slot, tie: item.tie)
    }

    /// Has something not happen; its entry stays in the heap until its time comes.
    mutating func cancel(_ ticket: Ticket) {
        if items[ticket.slot]?.tie == ticket.tie { items[ticket.slot] = nil }
    }

    private mutating func dropCancelled() {
        while let next = entries.min, items[next.slot] == nil {
            entries.removeMin()
            freeSlots.append(next.slot)
        }
    }

    /// Takes what happens next, if it does by an instant.
    mutating func popNext(until end: MonotonicInstant) -> (time: MonotonicInstant, item: Item)? {
        dropCancelled()
        guard let next = entries.min, next.time <= end else { return nil }
        entries.removeMin()
        freeSlots.append(next.slot)
        guard let item = items[next.slot].take() else { return nil }
        return (next.time, item)
    }
}
