import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes

/// Reads the state of the recipes and of the ensemble while a page is open, once for all pages.
struct DashboardReader: Sendable {
    let client: ZooKeeperClient
    let paths: [String]
    let bounds: RecipeSearchPlan.Bounds
    /// The session timeout that was requested, for the findings about the ensemble.
    let requestedTimeout: Duration
    let board: DashboardBoard
    let feed: DashboardFeed

    init(
        client: ZooKeeperClient, paths: [String], bounds: RecipeSearchPlan.Bounds, requestedTimeout: Duration,
        board: DashboardBoard, feed: DashboardFeed
    ) {
        (self.client, self.paths, self.bounds) = (client, paths, bounds)
        (self.requestedTimeout, self.board, self.feed) = (requestedTimeout, board, feed)
    }

    /// The number of recipes that are shown.
    static let maximumRecipes = 300
    /// The time for which a lock that nobody uses, and which therefore looks like any other znode, stays in the list.
    static let retention = Duration.seconds(600)
    /// The time for which reading continues after the last page has been closed: a reload is not a new start.
    static let lingering = Duration.seconds(10)

    /// Wakes the check of the ensemble.
    private let connectionChanged = WakeUp()

    private var clock: any MonotonicClock { client.clock }

    /// Publishes states, and reads while a page is open, until the task is cancelled.
    func run() async throws {
        try await alongside({ await followConnection() }) {
            try await alongside({ await publish() }) {
                while true {
                    try await feed.waitForPage()
                    try await race({ try await read() }, { try await feed.waitUntilUnused(for: Self.lingering) })
                    board.reset()
                }
            }
        }
    }

    private func followConnection() async {
        for await state in client.states {
            board.set(isConnected: state.isConnected)
            connectionChanged.signal()
        }
    }

    /// Publishes the state after changes, at most 5 times a second.
    private func publish() async {
        while !Task.isCancelled {
            await board.changed.wait(until: nil, clock: clock)
            let began = clock.now
            feed.publish(board.compose())
            let pause = max(.milliseconds(200), (clock.now - began) * 4)
            try? await clock.sleep(until: clock.now + pause)
        }
    }

    private func read() async throws {
        try await alongside({ await checkEnsemble() }) { try await followRecipes() }
    }

    // MARK: Recipes

    /// The result of a search.
    private struct Found: Sendable {
        var recipes: [DashboardBoard.Key] = []
        var notes: [String] = []
        private var known: Set<DashboardBoard.Key> = []

        mutating func add(_ path: String, _ kind: RecipeKind) {
            let key = DashboardBoard.Key(path: path, kind: kind)
            if DashboardBoard.Section(kind) != nil, known.insert(key).inserted { recipes.append(key) }
        }
    }

    /// Searches for recipes again and again, and follows those that it finds.
    private func followRecipes() async throws {
        try await withThrowingDiscardingTaskGroup { group in
            var followed: [DashboardBoard.Key: (stop: OneShot<Void>, lastFound: MonotonicInstant)] = [:]
            while true {
                let began = clock.now
                do {
                    let found = try await search()
                    for key in found.recipes {
                        if followed[key] == nil {
                            let stop = OneShot<Void>()
                            board.add(key)
                            group.addTask { await follow(key, until: stop) }
                            followed[key] = (stop, began)
                        }
                        followed[key]?.lastFound = began
                    }
                    for (key, entry) in followed where entry.lastFound < began {
                        guard try await isGone(key, lastFound: entry.lastFound, found.recipes) else { continue }
                        board.remove(key)
                        entry.stop.set(())
                        followed[key] = nil
                    }
                    board.set(notes: found.notes)
                } catch let error as ZooKeeperError where error.isTransient {
                    try await client.waitUntilConnected()
                } catch let error as ZooKeeperError where error.code != .clientStopped {
                    board.set(notes: ["the search for recipes failed: \(error.explanation)"])
                }
                try await clock.sleep(until: clock.now + max(.seconds(2), (clock.now - began) * 20))
            }
        }
    }

    private func follow(_ key: DashboardBoard.Key, until stop: OneShot<Void>) async {
        let follower = RecipeFollower(client: client, board: board, key: key)
        _ = try? await unless(stop) {
            var follower = follower
            await follower.run()
        }
    }

    /// Whether a recipe that a search has not found does not exist any more, or has become another one.
    private func isGone(
        _ key: DashboardBoard.Key, lastFound: MonotonicInstant, _ found: [DashboardBoard.Key]
    ) async throws -> Bool {
        if clock.now - lastFound > Self.retention { return true }
        if found.contains(where: { $0.path.hasBytes(of: key.path) }) { return true }
        do { return try await client.exists(at: key.path) == nil } catch let error as ZooKeeperError
            where error.code == .noAuth
        { return false }
    }

    private func search() async throws -> Found {
        var found = Found()
        let reader = StatusReader(client: client, limit: 1)
        for path in paths {
            switch try await client.listing(of: path) {
            case .missing: found.notes.append("\(path) does not exist")
            case .refused: found.notes.append("no permission to list \(path)")
            case .listed(let names, _):
                if let kind = try await reader.kind(ofZNodeAt: path, names) {
                    found.add(path, kind)
                } else {
                    let plan = try await reader.search(below: path, bounds: bounds)
                    for recipe in plan.found { found.add(recipe.path, recipe.kind) }
                    found.notes += RecipeList(plan).remarks
                }
            }
        }
        if found.recipes.count > Self.maximumRecipes {
            found.notes.append(
                "\(Self.maximumRecipes) of \(Text.grouped(found.recipes.count)) recipes are shown; name paths further "
                    + "down on the command line of `zkrecipes dashboard`")
            found.recipes = Array(found.recipes.prefix(Self.maximumRecipes))
        }
        return found
    }

    // MARK: The ensemble

    /// Asks the servers every 15 s and when the connection changes, also without a session.
    private func checkEnsemble() async {
        let doctor = Doctor(
            client: client, requestedTimeout: requestedTimeout, duration: .zero, pause: .zero, paths: [],
            serverTimeout: .seconds(2))
        var members: EnsembleMembers?
        while !Task.isCancelled {
            var measured = Measurements()
            measured.servers = (try? await doctor.servers()) ?? []
            if client.isConnected, let current = try? await doctor.members() { members = current }
            let session = client.session
            measured.members = members
            measured.maximumPacketSize = client.configuration.maximumPacketSize
            (measured.requestedTimeout, measured.negotiatedTimeout) = (
                requestedTimeout, session?.timeout ?? requestedTimeout
            )
            guard !Task.isCancelled else { return }
            board.set(EnsembleForm(measured, session: session, at: .now))
            await connectionChanged.wait(until: clock.now + .seconds(15), clock: clock)
        }
    }
}
