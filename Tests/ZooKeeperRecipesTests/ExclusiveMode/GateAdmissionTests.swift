import Testing
import ZooKeeper

@testable import ZooKeeperRecipes

@Suite struct GateAdmissionTests {
    typealias Admission = GateAdmission

    private static let token = FencingToken(rawValue: 2, kind: .shared)
    private static let earlierToken = FencingToken(rawValue: 1, kind: .shared)
    private static let lost = Admission.Input.lost(token, .znodeDeleted)

    /// An admission that has been led somewhere; the grant in question has number 2.
    private static func admission(_ inputs: [Admission.Input]) -> Admission {
        var admission = Admission()
        _ = admission.prepare(earlierToken)
        for input: Admission.Input in [.open(1), .signalled(1)] { _ = admission.handle(input) }
        #expect(admission.prepare(token).number == 2)
        for input in inputs { _ = admission.handle(input) }
        return admission
    }

    private static let states: [(name: String, inputs: [Admission.Input], isOpen: Bool)] = [
        ("prepared", [], false),
        ("open", [.open(2)], true),
        ("signalled", [.open(2), .signalled(2)], false),
        ("lost", [.open(2), lost], false),
        ("stopped", [.open(2), .stop(cancelsInside: false)], false),
        ("interrupted before the opening", [.signalled(2)], false),
    ]

    @Test(arguments: states.indices)
    func `the first interrupt of a grant closes it, and a later one only cancels`(index: Int) {
        let (_, inputs, isOpen) = Self.states[index]
        let isInterrupted = index >= 2
        func expect(
            _ input: Admission.Input, _ interrupt: Admission.Interrupt, cancels: Bool = false,
            sourceLocation: SourceLocation = #_sourceLocation
        ) {
            var admission = Self.admission(inputs)
            #expect(admission.isOpen == isOpen, sourceLocation: sourceLocation)
            let expected: [Admission.Action] = isInterrupted ? [] : [.close(interrupt)]
            #expect(
                admission.handle(input) == expected + (cancels ? [.cancelInside] : []), sourceLocation: sourceLocation)
            #expect(!admission.isOpen, sourceLocation: sourceLocation)
            #expect(admission.cancelled == (cancels ? Self.token : Self.admission(inputs).cancelled))
            #expect(admission.handle(.open(2)).isEmpty, sourceLocation: sourceLocation)
        }
        expect(.signalled(2), .signalled)
        expect(Self.lost, .lost(.znodeDeleted), cancels: true)
        expect(.stop(cancelsInside: false), .stopped)
        expect(.stop(cancelsInside: true), .stopped, cancels: true)
    }

    @Test(arguments: states.indices)
    func `what comes late for an earlier grant does nothing`(index: Int) {
        let (_, inputs, isOpen) = Self.states[index]
        var admission = Self.admission(inputs)
        let cancelled = admission.cancelled
        for input: Admission.Input in [.open(1), .signalled(1), .lost(Self.earlierToken, .deadlinePassed)] {
            #expect(admission.handle(input).isEmpty)
        }
        #expect(admission.isOpen == isOpen)
        #expect(admission.cancelled == cancelled)
    }

    @Test func `a grant is opened once`() {
        var admission = Self.admission([])
        #expect(admission.handle(.open(2)) == [.open])
        #expect(admission.handle(.open(2)).isEmpty)
        #expect(admission.isOpen)
    }

    @Test func `nothing opens and nothing is closed before the first grant`() {
        var admission = Admission()
        for input: Admission.Input in [.open(0), .signalled(0), Self.lost, .stop(cancelsInside: false)] {
            #expect(admission.handle(input).isEmpty)
        }
        #expect(!admission.isOpen)
    }

    @Test func `a loss closes the grant that outlasted a signal under the same token, and a late signal does not`() {
        var admission = Self.admission([.open(2), .signalled(2)])
        #expect(admission.prepare(Self.token).number == 3)
        #expect(admission.handle(.open(3)) == [.open])
        #expect(admission.handle(.signalled(2)).isEmpty)
        #expect(admission.isOpen)
        #expect(admission.handle(Self.lost) == [.close(.lost(.znodeDeleted)), .cancelInside])
    }

    @Test func `after a stop each grant is interrupted from its beginning`() {
        var admission = Admission()
        _ = admission.handle(.stop(cancelsInside: false))
        for number in 1...2 {
            #expect(admission.prepare(Self.token).interrupt == .stopped)
            #expect(admission.handle(.open(number)).isEmpty)
            #expect(admission.handle(.signalled(number)).isEmpty)
            #expect(!admission.isOpen)
        }
    }

    @Test(arguments: 0..<200)
    func `whatever comes in whichever order, nothing opens a closed grant or changes why it was closed`(seed: UInt64) {
        var generator = SeededRandom(seed: seed)
        func roll(_ sides: Int) -> Int { Int.random(in: 0..<sides, using: &generator) }
        var admission = Admission()
        var (number, token, isStopped) = (0, Self.earlierToken, false)
        /// What has been decided for each grant.
        var opened: Set<Int> = []
        var closed: [Int: Admission.Interrupt] = [:]
        for _ in 0..<300 {
            if number == 0 || closed[number] != nil, roll(3) == 0 {
                // Of the same znode, or of a new one.
                if roll(2) == 0 { token = FencingToken(rawValue: token.rawValue + 1, kind: .shared) }
                let prepared = admission.prepare(token)
                number = prepared.number
                closed[number] = prepared.interrupt
                #expect(!admission.isOpen && prepared.interrupt == (isStopped ? .stopped : nil))
            }
            let one = max(0, number - roll(3))
            let other = FencingToken(rawValue: token.rawValue - Int64(roll(2)), kind: .shared)
            let input: Admission.Input =
                switch roll(200) {
                case 0: .stop(cancelsInside: roll(2) == 0)
                case 1...25: .lost(other, [.znodeDeleted, .deadlinePassed, .sessionEnded][roll(3)])
                case 26...100: .signalled(one)
                default: .open(one)
                }
            if case .stop = input { isStopped = true }
            for action in admission.handle(input) {
                switch action {
                case .open:
                    #expect(!isStopped && closed[number] == nil)
                    #expect(opened.insert(number).inserted)
                case .close(let interrupt):
                    #expect(number > 0 && closed.updateValue(interrupt, forKey: number) == nil)
                case .cancelInside: #expect(number == 0 || admission.cancelled == token)
                }
            }
            #expect(admission.isOpen == (opened.contains(number) && closed[number] == nil))
        }
    }
}
