internal import ServiceLifecycle
internal import Synchronization

extension AsyncSequence where Self: Sendable, Element: Sendable {
    /// Lets each element through a gate: while it is shut, elements wait.
    ///
    /// No element is asked for before the gate is open. If the gate shuts while the next element is awaited, the element
    /// waits with the sequence until it can enter. If that wait ends with an error, because the task was cancelled or the
    /// gate stopped, the sequence keeps the element: the next ``GatedSequence/Iterator/next()``, of the same iterator or of
    /// another one of the same sequence, begins with it. Only when the last copy of the sequence and its iterators is
    /// dropped, the element is dropped too; ``GatedSequence/takeUnprocessed()`` gives it back before that.
    ///
    /// An element comes with its permit, which lasts until the next one is asked for, or the iteration ends. So the body
    /// of a `for await` loop runs inside the gate, and a window waits for it.
    ///
    /// ```swift
    /// for try await (event, permit) in events.gated(by: gate) {
    ///     try store.write(event, token: permit.fencingToken)
    /// }
    /// ```
    ///
    /// The body is not cancelled when the permission is lost; long work looks at ``EventPermit/isValid``, or uses
    /// `EventGate.withPermit(_:)`.
    public func gated(by gate: EventGate) -> GatedSequence<Self> {
        GatedSequence(base: self, gate: gate)
    }
}

/// The elements of a sequence, each inside a gate.
public struct GatedSequence<Base: AsyncSequence & Sendable>: AsyncSequence, Sendable where Base.Element: Sendable {
    /// An element and the permission to process it.
    public typealias Element = (Base.Element, EventPermit)

    let base: Base
    let gate: EventGate
    private let kept = KeptElements<Base.Element>()

    init(base: Base, gate: EventGate) {
        self.base = base
        self.gate = gate
    }

    /// Begins to iterate; nothing is inside so far.
    public func makeAsyncIterator() -> Iterator {
        Iterator(base: base.makeAsyncIterator(), gate: gate, kept: kept)
    }

    /// Takes the elements that were taken from the base sequence and could not enter, in order.
    ///
    /// For a program that stops: an element that is kept here is in no other place.
    public func takeUnprocessed() -> [Base.Element] { kept.takeAll() }

    /// Gives one element after the other, with at most one inside the gate.
    public struct Iterator: AsyncIteratorProtocol {
        /// Gives the permit back when the iteration is left early.
        private final class Inside {
            var permit: EventPermit?

            func leave() {
                permit?.leave()
                permit = nil
            }

            deinit { leave() }
        }

        private var base: Base.AsyncIterator
        private let gate: EventGate
        private let kept: KeptElements<Base.Element>
        private let inside = Inside()

        init(base: Base.AsyncIterator, gate: EventGate, kept: KeptElements<Base.Element>) {
            self.base = base
            self.gate = gate
            self.kept = kept
        }

        /// Ends the element before, waits until the gate is open, takes the next element, and enters with it.
        ///
        /// When it throws, no element is lost: one that was taken and could not enter comes with the next call. A graceful
        /// shutdown of the surrounding service group ends the sequence while the gate is shut; an element that was taken is
        /// kept as well.
        ///
        /// - Throws: The base sequence's error, `CancellationError`, or ``RecipeError`` with code `.stopped` or
        ///   `.alreadyHeld`.
        public mutating func next() async throws -> Element? {
            try await next(isolation: #isolation)
        }

        /// The same, in the caller's isolation.
        public mutating func next(isolation actor: isolated (any Actor)?) async throws -> Element? {
            inside.leave()
            // Not kept while the next element is awaited: a window would wait for the base sequence.
            guard let first = try await enter() else { return nil }
            first.leave()
            var element = kept.takeFirst()
            if element == nil { element = try await base.next(isolation: actor) }
            guard let element else { return nil }
            do {
                if let permit = try await enter() {
                    inside.permit = permit
                    return (element, permit)
                }
            } catch {
                kept.putBack(element)
                throw error
            }
            kept.putBack(element)
            return nil
        }

        /// Waits for the gate; gives `nil` if a graceful shutdown ends the wait.
        private func enter() async throws -> EventPermit? {
            do {
                return try await gate.enter()
            } catch is CancellationError where Task.isShuttingDownGracefully && !Task.isCancelled {
                return nil
            }
        }
    }
}

/// Elements that were taken and could not enter.
final class KeptElements<Element: Sendable>: Sendable {
    private let elements = Mutex<[Element]>([])

    func takeFirst() -> Element? { elements.withLock { $0.isEmpty ? nil : $0.removeFirst() } }

    func takeAll() -> [Element] {
        elements.withLock { elements in
            defer { elements = [] }
            return elements
        }
    }

    /// In front of those that were taken later.
    func putBack(_ element: Element) { elements.withLock { $0.insert(element, at: 0) } }
}
