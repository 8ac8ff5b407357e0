import CommandLineSupport
import Synchronization
import ZooKeeper

/// What the demo shows: the story so far, and how everybody stands now.
///
/// On a terminal the story scrolls and the standing is redrawn below it; elsewhere there is the story alone.
final class DemoBoard: Sendable {
    /// One processor, as it is shown.
    struct Line: Sendable {
        var name: String
        var pid: Int32
        var state: String
        var events = 0
        var perSecond = 0
    }

    fileprivate struct State {
        var lines: [Line] = []
        var window = ""
        var pending: [String] = []
        var drawn = 0
        var history: [(at: MonotonicInstant, counts: [String: Int])] = []
    }

    private let rate: Int
    private let isLive: Bool
    private let isSilent: Bool
    private let clock = SystemMonotonicClock()
    private let began: MonotonicInstant
    private let state = Mutex(State())

    /// - Parameters:
    ///   - rate: The events a second that make a full bar.
    ///   - isSilent: Whether nothing is shown at all, for machines.
    init(rate: Int, isSilent: Bool) {
        self.rate = rate
        self.isSilent = isSilent
        isLive = !isSilent && Output.isTerminal
        began = clock.now
    }

    // MARK: What happens

    /// Adds a line to the story.
    func tell(_ text: String) {
        let time = Text.right(Text.fixed((clock.now - began) / .seconds(1), 1), 6)
        tell(plain: "\(time) s  \(text)")
    }

    /// Adds a line without a time.
    func tell(plain text: String) {
        guard !isSilent else { return }
        if isLive { state.withLock { $0.pending.append(Text.escaped(text)) } } else { Output.line(text) }
    }

    /// Says what is going on with windows at the moment.
    func show(window: String) { state.withLock { $0.window = window } }

    /// Takes a processor up, in the place of one with the same name.
    func add(_ name: String, pid: Int32) {
        state.withLock { state in
            let line = Line(name: name, pid: pid, state: "starting")
            if let index = state.lines.firstIndex(where: { $0.name == name }) {
                state.lines[index] = line
            } else {
                state.lines.append(line)
            }
        }
    }

    /// Says what a processor does.
    func set(_ name: String, state word: String) {
        let isNew = state.withLock { state in
            guard let index = state.lines.firstIndex(where: { $0.name == name }) else { return false }
            defer { state.lines[index].state = word }
            return state.lines[index].state != word
        }
        if isNew, !isLive { tell("\(name) is \(word)") }
    }

    // MARK: Drawing

    /// Redraws until cancelled.
    ///
    /// - Parameter counts: How many events each processor has logged.
    func draw(counts: @escaping @Sendable () -> [String: Int]) async {
        guard isLive else { return }
        Output.write("\u{1b}[?25l", to: 1)
        while (try? await Task.sleep(for: .milliseconds(100))) != nil { redraw(counts()) }
        redraw(counts())
        Output.write("\u{1b}[?25h", to: 1)
    }

    private func redraw(_ counts: [String: Int]) {
        let now = clock.now
        let text = state.withLock { state in
            state.note(counts, at: now)
            let size = Output.terminalSize
            let painter = DemoPainter(rate: rate, width: size.columns)
            let block = painter.block(state.lines.suffix(max(1, size.rows - 4)), window: state.window)
            var text = state.drawn > 0 ? "\u{1b}[\(state.drawn)A\r\u{1b}[0J" : ""
            text += state.pending.map { painter.fitted($0) + "\n" }.joined()
            text += block.map { $0 + "\n" }.joined()
            (state.pending, state.drawn) = ([], block.count)
            return text
        }
        Output.write(text, to: 1)
    }
}

extension DemoBoard.State {
    /// Keeps half a second of counts, from which the rates are taken.
    fileprivate mutating func note(_ counts: [String: Int], at now: MonotonicInstant) {
        history.append((now, counts))
        while history.count > 2, history[1].at < now - .milliseconds(500) { history.removeFirst() }
        let first = history[0]
        let seconds = max((now - first.at) / .seconds(1), 0.001)
        for index in lines.indices {
            let name = lines[index].name
            let count = counts[name] ?? 0
            let new = count - (first.counts[name] ?? count)
            lines[index].events = count
            lines[index].perSecond = max(0, Int(Double(new) / seconds))
        }
    }
}
