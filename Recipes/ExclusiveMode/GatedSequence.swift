internal import ServiceLifecycle
internal import Synchronization

extension AsyncSequence where Self: Sendable, Element: Sendable {
    /// Returns a sequence that passes each element through a gate; elements wait while the gate is closed.
    ///
    /// The sequence requests no element before the gate is open. If the gate closes while the sequence awaits the next
    /// element, that element waits in the sequence until it can enter. If this wait ends with an error, because the
    /// task was cancelled or the gate stopped, the sequence keeps the element. The next
    /// ``GatedSequence/Iterator/next()`` returns it first, on the same iterator or on another one of the same sequence.
    /// The element is dropped only when the last copy of the sequence and of its iterators is released.
    /// ``GatedSequence/takeUnprocessed()`` returns it before that.
    ///
    /// Each element comes with its permit, which lasts until the next element is requested or the iteration ends. The
    /// body of a `for await` loop therefore runs inside the gate, and a window waits for it.
    ///
    /// ```swift
    /// for try await (event, permit) in events.gated(by: gate) {
    ///     try store.write(event, token: permit.fencingToken)
    /// }
    /// ```
    ///
    /// The body is not cancelled if the permit is lost. Long work should check ``EventPermit/isValid``, or use
    /// ``EventGate/withPermit(timeout:_:)``.
    ///
    /// - Parameter gate: The gate that each element enters.
    /// - Returns: The elements, each with its permit.
    public func gated(by gate: EventGate) -> GatedSequence<Self> {
        GatedSequence(base: self, gate: gate)
    }
}

/// The elements of a sequence, each admitted through a gate.
public struct GatedSequence<Base: AsyncSequence & Sendable>: AsyncSequence, Sendable where Base.Element: Sendable {
    /// An element and the permit to process it.
    public typealias Element = (Base.Element, EventPermit)

    let base: Base
    let gate: EventGate
    private let kept = KeptElements<Base.Element>()

    init(base: Base, gate: EventGate) {
        self.base = base
        self.gate = gate
    }

    /// Creates an iterator; no element is inside the gate yet.
    public func makeAsyncIterator() -> Iterator {
        Iterator(base: base.makeAsyncIterator(), gate: gate, kept: kept)
    }

    /// Removes and returns, in order, the elements that were taken from the base sequence and could not enter.
    ///
    /// Use it in a program that stops: the sequence holds the only copy of these elements.
    ///
    /// - Returns: The elements; empty if there are none.
    public func takeUnprocessed() -> [Base.Element] { kept.takeAll() }

    /// An iterator that returns the elements one by one, with at most one inside the gate.
    public struct Iterator: AsyncIteratorProtocol {
        /// Releases the permit if the iteration ends early.
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

        /// Releases the previous element, waits until the gate is open, takes the next element, and enters with it.
        ///
        /// No element is lost if this method throws: an element that was taken and could not enter is returned by the
        /// next call. A graceful shutdown of the surrounding service group ends the sequence while the gate is closed.
        /// An element that was already taken is kept in that case as well.
        ///
        /// - Returns: The next element with its permit; `nil` at the end of the base sequence, or on graceful shutdown.
        /// - Throws: The base sequence's error; `CancellationError`; ``RecipeError`` with code `.stopped` or
        ///   `.alreadyHeld`.
        /// - Complexity: Sends no requests, apart from those of the base sequence.
        public mutating func next() async throws -> Element? {
            try await next(isolation: #isolation)
        }

        /// Returns the next element, like ``next()``, in the caller's isolation.
        ///
        /// - Parameter actor: The isolation of the caller.
        /// - Returns: The next element with its permit; `nil` at the end of the base sequence, or on graceful shutdown.
        /// - Throws: The base sequence's error; `CancellationError`; ``RecipeError`` with code `.stopped` or
        ///   `.alreadyHeld`.
        /// - Complexity: Sends no requests, apart from those of the base sequence.
        public mutating func next(isolation actor: isolated (any Actor)?) async throws -> Element? {
            inside.leave()
            // This permit is released before the next element is awaited; otherwise a window would wait for the base
            // sequence.
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

        /// Waits for the gate; returns `nil` if a graceful shutdown ends the wait.
        private func enter() async throws -> EventPermit? {
            do {
                return try await gate.enter()
            } catch is CancellationError where Task.isShuttingDownGracefully && !Task.isCancelled {
                return nil
            }
        }
    }
}

/// The elements that were taken from the base sequence and could not enter.
final class KeptElements<Element: Sendable>: Sendable {
    private let elements = Mutex<[Element]>([])

    func takeFirst() -> Element? { elements.withLock { $0.isEmpty ? nil : $0.removeFirst() } }

    func takeAll() -> [Element] {
        elements.withLock { elements in
            defer { elements = [] }
            return elements
        }
    }

    /// Inserts an element before those that were taken later.
    func putBack(_ element: Element) { elements.withLock { $0.insert(element, at: 0) } }
}
