extension AsyncSequence where Self: Sendable, Element: Sendable {
    /// Lets each element through a gate: while it is shut, elements wait.
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

    /// Begins to iterate; nothing is inside so far.
    public func makeAsyncIterator() -> Iterator {
        Iterator(base: base.makeAsyncIterator(), gate: gate)
    }

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
        private let inside = Inside()

        init(base: Base.AsyncIterator, gate: EventGate) {
            self.base = base
            self.gate = gate
        }

        /// Ends the element before, waits for the next one, and then until the gate is open.
        ///
        /// - Throws: The base sequence's error, `CancellationError`, or ``ExclusiveModeError`` with code `.gateStopped`.
        public mutating func next() async throws -> Element? {
            try await next(isolation: #isolation)
        }

        /// The same, in the caller's isolation.
        public mutating func next(isolation actor: isolated (any Actor)?) async throws -> Element? {
            inside.leave()
            guard let element = try await base.next(isolation: actor) else { return nil }
            let permit = try await gate.enter()
            inside.permit = permit
            return (element, permit)
        }
    }
}
