import Glibc
package import ServiceLifecycle
import Synchronization
package import ZooKeeper

/// The signals with which users and supervisors end, stop and continue the program.
///
/// SIGHUP, SIGINT and SIGQUIT do the same as SIGTERM, unless they were ignored when the program was started, as with
/// `nohup` or in the background of a shell script. A further signal, at least one second after the first, ends the
/// grace of commands.
package final class ProgramSignals: Sendable {
    package static let shared = ProgramSignals()

    /// The first signal that requested the end of the program.
    package let endSignal = OneShot<Int32>()

    private struct State {
        var isHandled = false
        var requested: MonotonicInstant?
        var processes: [ObjectIdentifier: any SignalledProcess] = [:]
    }

    private let state = Mutex(State())

    /// Blocks the signals in this thread and in all threads that it starts, until ``handle()`` accepts them.
    ///
    /// The signals are blocked and not caught, so that commands inherit the signal handling that the program was
    /// started with.
    package static func prepare() {
        // Some parents ignore SIGCHLD; then the exit status of a child would be lost.
        signal(SIGCHLD, SIG_DFL)
        signal(SIGTERM, SIG_DFL)
        var blocked = expected
        // With these blocked, writes and reads fail instead of ending or stopping the program.
        for number in [SIGPIPE, SIGTTIN, SIGTTOU] { sigaddset(&blocked, number) }
        // This also unblocks the signals that the parent had blocked.
        pthread_sigmask(SIG_SETMASK, &blocked, nil)
    }

    /// The handled signals that were not ignored when the program was started.
    private static var expected: sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for number in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP] {
            var action = sigaction()
            sigaction(number, nil, &action)
            if !action.isIgnored { sigaddset(&set, number) }
        }
        return set
    }

    /// Handles the signals on the calling thread.
    package func handle() -> Never {
        var expected = Self.expected
        while true {
            var number: Int32 = 0
            guard sigwait(&expected, &number) == 0 else { continue }
            if number == SIGTSTP { stop() } else { requestEnd(number) }
        }
    }

    /// Requests the end of the program, as a signal does.
    package func requestEnd(_ number: Int32) {
        let now = SystemMonotonicClock().now
        let (isHandled, impatient) = state.withLock { state -> (Bool, [any SignalledProcess]) in
            defer { state.requested = state.requested ?? now }
            // Some supervisors send a signal to the program and to its process group at the same time.
            guard let first = state.requested, now - first >= .seconds(1) else { return (state.isHandled, []) }
            return (state.isHandled, Array(state.processes.values))
        }
        guard isHandled else { return Self.actByDefault(number) }
        endSignal.set(number)
        Output.end()
        for process in impatient { process.kill() }
    }

    /// Requests the end of the program because the reader of its output has gone.
    package func requestEndWithoutReader() {
        guard state.withLock({ $0.isHandled }) else { exit(EXIT_SUCCESS) }
        endSignal.set(SIGPIPE)
        Output.end()
    }

    /// Stops the commands and the program, until the program is continued.
    private func stop() {
        let processes = state.withLock { Array($0.processes.values) }
        for process in processes { process.stop() }
        Self.actByDefault(SIGTSTP)
        for process in processes { process.proceed() }
    }

    private static func actByDefault(_ number: Int32) {
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, number)
        pthread_sigmask(SIG_UNBLOCK, &set, nil)
        raise(number)
        pthread_sigmask(SIG_BLOCK, &set, nil)
        // The default action does not end the first process of a container.
        if number != SIGTSTP { exit(128 + number) }
    }

    /// Starts a process that is stopped, continued and killed together with the program, until ``forget(_:)``.
    ///
    /// A signal is handled either before or after the start, so that the process never misses it.
    package func start<Process: SignalledProcess, Failure: Error>(
        _ make: () throws(Failure) -> Process
    ) throws(Failure) -> Process {
        try state.withLock { state throws(Failure) in
            let process = try make()
            state.processes[ObjectIdentifier(process)] = process
            return process
        }
    }

    package func forget(_ process: any SignalledProcess) {
        state.withLock { $0.processes[ObjectIdentifier(process)] = nil }
    }

    /// Returns a service that ends when a signal requests the end of the program.
    package func service() -> some Service {
        state.withLock { $0.isHandled = true }
        return EndRequest(signal: endSignal)
    }
}

/// A process that is stopped, continued and killed together with the program.
package protocol SignalledProcess: AnyObject, Sendable {
    func stop()
    func proceed()
    func kill()
}

private struct EndRequest: Service {
    let signal: OneShot<Int32>

    func run() async {
        _ = try? await cancelWhenGracefulShutdown { try await signal.wait() }
    }
}

extension sigaction {
    fileprivate var isIgnored: Bool {
        unsafeBitCast(__sigaction_handler.sa_handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
    }
}
