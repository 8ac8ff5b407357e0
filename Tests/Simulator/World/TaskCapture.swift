internal import Glibc

/// Takes every job that a thread's tasks make runnable, instead of the cooperative pool.
///
/// The concurrency runtime offers a hook on the way to its global executor, for all of the process. Jobs of threads that do
/// not run a simulation go on to where they would have gone. What runs here must not switch to an actor with an executor
/// of its own, nor sleep on the system's clocks.
enum TaskCapture {
    private typealias Original = @convention(thin) (UnownedJob) -> Void
    private typealias Hook = @convention(thin) (UnownedJob, Original) -> Void

    /// What takes the jobs of the present thread.
    protocol Target: AnyObject {
        func take(_ job: UnownedJob)
    }

    private static let key: pthread_key_t = {
        var key = pthread_key_t()
        let code = pthread_key_create(&key, nil)
        precondition(code == 0, "the system has no room for one more thread-specific value")
        return key
    }()

    private static let isInstalled: Bool = {
        guard let symbol = dlsym(dlopen(nil, RTLD_NOW), "swift_task_enqueueGlobal_hook") else { return false }
        symbol.assumingMemoryBound(to: Hook?.self).pointee = { job, original in
            guard let target = pthread_getspecific(TaskCapture.key) else { return original(job) }
            Unmanaged<Box>.fromOpaque(target).takeUnretainedValue().target.take(job)
        }
        return true
    }()

    private final class Box {
        let target: any Target
        init(_ target: any Target) { self.target = target }
    }

    /// Runs a body on this thread; all jobs that it makes runnable go to the target.
    static func capture<Result>(for target: any Target, _ body: () -> Result) -> Result {
        precondition(isInstalled, "this Swift runtime has no hook for its global executor")
        let box = Box(target)
        let before = pthread_getspecific(key)
        pthread_setspecific(key, Unmanaged.passUnretained(box).toOpaque())
        defer { pthread_setspecific(key, before) }
        return withExtendedLifetime(box) { body() }
    }

    static func run(_ job: UnownedJob) {
        job.runSynchronously(on: globalConcurrentExecutor.asUnownedTaskExecutor())
    }
}
