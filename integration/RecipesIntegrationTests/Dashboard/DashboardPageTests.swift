import SystemSupport
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// The page of `zkrecipes dashboard` in a real browser.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(5)))
struct DashboardPageTests {
    /// Opens the page of a dashboard in a browser.
    private func withPage(
        _ paths: [String], _ options: [String] = [], _ body: (Browser, DashboardProcess) async throws -> Void
    ) async throws {
        let dashboard = try await DashboardProcess.start(paths, options)
        try await Browser.with { browser in
            try await browser.setScreen(width: 1280, height: 900)
            try await browser.open(dashboard.addressWithToken ?? dashboard.address)
            try await browser.run(Self.helpers)
            try await body(browser, dashboard)
        }
        try await dashboard.stop()
    }

    /// Functions for the expressions below.
    private static let helpers = """
        window.isSamePage = true;
        // Without the characters that isolate the direction of names.
        window.text = (selector) => (document.querySelector(selector)?.innerText ?? "").replace(/[\\u2068\\u2069]/g, "");
        window.openAll = () => {
          for (const details of document.querySelectorAll("details")) details.open = true;
          for (const button of document.querySelectorAll("main button[aria-expanded=false]")) button.click();
        };
        window.states = () => Object.fromEntries([...document.querySelectorAll("#exclusive table:first-of-type tbody tr")]
          .map((row) => [row.cells[0].innerText, row.cells[1].innerText]));
        window.fits = () => document.documentElement.scrollWidth <= innerWidth;
        """

    /// The badge of the first exclusive mode.
    private static let badge = "text('#exclusive .card .badge')"

    // MARK: Live states

    @Test func `a window is shown from its request to its end, and a killed processor is shown as late, then as gone`()
        async throws
    {
        let base = "/window/orders"
        let connection = TestServer.current.connectionString
        let processors = try ["web-1", "web-2"].map { id in
            try ProgramRun.start(
                ["exclusive", "gate", base, "--id", id, "--session-timeout", "10s", "--", "sleep", "600"],
                connect: connection)
        }
        try await withPage(["/window"]) { browser, _ in
            try await browser.wait(until: "document.querySelector('#exclusive details')")
            try await browser.run("openAll()")
            try await browser.wait(until: "states()['web-1'] === 'running' && states()['web-2'] === 'running'")
            // Its lock stays until its session ends.
            await processors[1].kill()
            let end = OneShot<Void>()
            let window = Task {
                try await withZooKeeperClient(configuration: .init(connectionString: connection)) { client in
                    try await ExclusiveMode(client: client, path: base)
                        .withWindow(id: "ada", reason: "nightly task") { _ in try await end.wait() }
                }
            }
            try await browser.wait(
                until: "states()['web-1'] === 'paused' && ['draining', 'late'].includes(states()['web-2'])")
            try await browser.wait(until: "/^web-2\\s+is late/.test(text('#exclusive .late'))")
            try await browser.wait(
                until: "text('#count-exclusive') === '1 late' && document.title.startsWith('1 late')")
            #expect(try await browser.evaluate("return \(Self.badge)", as: String.self) == "waits for web-2")
            try await browser.wait(until: "\(Self.badge) === 'window open' && states()['web-2'] === 'gone'")
            #expect(try await browser.evaluate("return text('#exclusive .facts')", as: String.self).contains("ada"))
            let label = try await browser.evaluate(
                "return document.querySelector('.lanes canvas').getAttribute('aria-label')", as: String.self)
            #expect(label.hasPrefix("1 processor, 1 paused"), "\(label)")
            end.set(())
            try await window.value
            try await browser.wait(until: "\(Self.badge) === 'no window' && states()['web-1'] === 'running'")
            try await browser.wait(until: "text('#exclusive .facts').includes('nightly task by ada, completed')")
            let changes = try await browser.evaluate("return text('#changes-list')", as: String.self)
            for words in ["ada requests a window", "the window is open", "web-2 has left", "has ended: completed"] {
                #expect(changes.contains(words), "\(changes)")
            }
            #expect(try await browser.evaluate("return window.isSamePage === true", as: Bool.self))
            #expect(try await browser.problems() == [])
        }
        try processors[0].terminate()
        try await processors[0].waitForExit()
    }

    @Test func `lost connections are shown with their time, old values are greyed out, and both heal by themselves`()
        async throws
    {
        try await withTestServer { server in
            let first = try await DashboardProcess.start(["/"], at: server)
            try await DashboardScene.with("/lost", at: server) {
                try await $0.create("/locks/a/\(DashboardScene.contender(0))", "web-1")
            }
            try await Browser.with { browser in
                try await browser.open(first.address)
                try await browser.run(Self.helpers)
                let isStale = "document.documentElement.hasAttribute('data-stale')"
                try await browser.wait(until: "!\(isStale) && text('#queues').includes('web-1')")
                await server.stop()
                try await browser.wait(
                    until: "\(isStale) && text('#notice').startsWith('No connection to ZooKeeper since ')")
                #expect(try await browser.evaluate("return text('#queues').includes('web-1')", as: Bool.self))
                try await server.start()
                try await browser.wait(until: "!\(isStale) && document.querySelector('#notice').hidden")
                try await first.stop()
                try await browser.wait(
                    until: "\(isStale) && text('#link').trim().startsWith('not connected since ')")
                let second = try await DashboardProcess.start(["/"], at: server, listen: first.listening)
                try await browser.wait(until: "!\(isStale) && text('#link').includes('connected to 127.0.0.1')")
                #expect(try await browser.evaluate("return window.isSamePage === true", as: Bool.self))
                try await second.stop()
            }
        }
    }

    // MARK: Texts that other programs wrote

    @Test func `hostile names and data are shown as text, run nothing, and fit on a phone`() async throws {
        let name = "<img src=x onerror=alert(1)>\"'`&lt;\u{202E}txt.exe"
        let data = name + "</script><script>alert(2)</script><style>*{display:none}</style>\u{0007}\u{2066}"
        try await DashboardScene.with("/hostile") { scene in
            try await scene.createQueue("/\(name)/lock", [data, String(repeating: "w", count: 10_000)])
            try await scene.create("/\(name)/lock/\(DashboardScene.contender(7))", [0xff, 0xfe, 0x80], .ephemeral)
            try await scene.createQueue("/\(String(repeating: "y", count: 10_000))", [data])
            try await scene.createProcessors("/orders \(name)", ["plain"])
            try await scene.create(
                scene.lock("/orders \(name)", 5), DashboardScene.processor(data, inside: 3, host: data), .ephemeral)
            try await scene.requestWindow("/orders \(name)", by: data, reason: data)
            try await scene.createPartitions("/shards \(name)", 2, nodes: [name, "plain"])
            try await scene.create("/shards \(name)/cordons/\(name)", "note=\(data)")
            try await scene.create("/task \(name)/control")
            try await scene.create("/task \(name)/runs/2026-01-01", [0xff, 0x00, 0x80])
            try await scene.create("/task \(name)/runs/\(name)", data)
            try await scene.createQueue("/task \(name)/leader", [data])
            try await withPage(["/hostile"]) { browser, _ in
                for section in ["exclusive", "queues", "schedules", "partitions"] {
                    try await browser.wait(until: "text('#\(section)').includes('<img src=x onerror=alert(1)>')")
                }
                try await browser.run("openAll()")
                try await browser.wait(
                    until: "text('#exclusive table').includes('<img') && text('#exclusive .late') !== ''")
                // Frames in which an image could fail to load, or a script could run.
                try await browser.wait(until: "(window.frames1 = (window.frames1 ?? 0) + 1) > 60")
                let elements: [Int] = try await browser.evaluate(
                    "return ['img', 'script', 'style'].map((tag) => document.getElementsByTagName(tag).length)")
                #expect(elements == [1, 1, 0])
                let text = try await browser.evaluate("return document.body.innerText", as: String.self)
                #expect(text.contains("\\u{202e}txt.exe"))
                #expect(text.contains("(10,0"))
                #expect(!text.unicodeScalars.contains { (0x202A...0x202E).contains($0.value) || $0.value == 0x2066 })
                #expect(!text.contains(String(repeating: "y", count: 1000)))
                for isDark in [true, false] {
                    for width in [360, 320] {
                        try await browser.setScreen(width: width, height: 740, isDark: isDark)
                        try await browser.wait(until: "innerWidth === \(width) && fits()")
                    }
                }
                #expect(try await browser.problems() == [])
                // As markup, the same name would be noticed.
                try await browser.run(
                    "document.body.insertAdjacentHTML('beforeend', text('#queues .name').replaceAll('\\\\u{202e}', ''))"
                )
                try await browser.wait(until: "pageProblems.some((problem) => problem.startsWith('policy: '))")
            }
        }
    }

    // MARK: Keyboards and screen readers

    @Test func `the tab key reaches each control in order, and each has a name and a visible focus`() async throws {
        try await DashboardScene.with("/keys") { scene in
            try await scene.createQueue("/leader", ["web-1", "web-2", "web-3"])
            try await scene.create("/leader-epoch", "")
            try await scene.createProcessors("/orders", ["web-1", "web-2"])
            try await scene.createPartitions("/shards", 8, nodes: ["web-1", "web-2"])
            try await withPage(["/keys"], ["--allow-changes"]) { browser, _ in
                for section in ["exclusive", "queues", "partitions"] {
                    try await browser.wait(until: "text('#\(section)').includes('/keys/')")
                }
                try await browser.run("openAll()")
                try await browser.wait(
                    until:
                        "[...document.querySelectorAll('[data-verb=leader-transfer]')].some((one) => one.checkVisibility())"
                )
                try await browser.run(
                    """
                    window.controls = [...document.querySelectorAll("a[href], button, input, select, summary")]
                      .filter((element) => !element.closest("dialog") && element.checkVisibility());
                    window.focused = () => ({ index: controls.indexOf(document.activeElement),
                      isBody: document.activeElement === document.body,
                      isMarked: getComputedStyle(document.activeElement).outlineStyle !== "none" });
                    """)
                struct Focus: Decodable {
                    var index: Int
                    var isBody, isMarked: Bool
                }
                let count = try await browser.evaluate("return controls.length", as: Int.self)
                var reached: [Int] = []
                // Other elements, such as ones that scroll, may have the focus in between.
                for _ in 0..<(2 * count) where reached.last != count - 1 {
                    try await browser.press(.tab)
                    let focus: Focus = try await browser.evaluate("return focused()")
                    if focus.isBody, !reached.isEmpty { break }
                    guard focus.index >= 0 else { continue }
                    reached.append(focus.index)
                    #expect(focus.isMarked, "control \(focus.index)")
                }
                #expect(count > 15)
                #expect(reached == Array(0..<count))
                // No control keeps the focus.
                try await browser.press(.tab)
                #expect(try await browser.evaluate("return focused()", as: Focus.self).index != count - 1)

                let elements = try await browser.accessibleElements()
                let roles = Set(elements.compactMap(\.role?.value))
                #expect(roles.isSuperset(of: ["banner", "navigation", "main", "contentinfo", "heading", "status"]))
                #expect(roles.isSuperset(of: ["table", "row", "columnheader", "cell"]))
                let nameless = elements.filter { $0.isFocusable && ($0.name?.value ?? "").isEmpty }
                #expect(nameless.compactMap(\.role?.value).filter { $0 != "RootWebArea" && $0 != "main" } == [])
                #expect(try await browser.problems() == [])
            }
        }
    }

    // MARK: Operator commands

    @Test func `a command asks for confirmation, has its reason, and the token is not left in the address`()
        async throws
    {
        try await DashboardScene.with("/commands") { scene in
            try await scene.createPartitions("/shards", 4, nodes: ["web-1", "web-2"])
            let cordon = "document.querySelector('[data-verb=partitions-cordon]')"
            try await withPage(["/commands"], ["--allow-changes"]) { browser, dashboard in
                try await browser.wait(until: "\(cordon).checkVisibility()")
                let address = try await browser.evaluate("return location.href", as: String.self)
                #expect(address == dashboard.address)
                #expect(
                    try await browser.evaluate(
                        "return localStorage.length + sessionStorage.length + document.cookie.length", as: Int.self)
                        == 0)
                // By keyboard: the dialog keeps the focus, and Escape returns it to the button.
                try await browser.run("\(cordon).focus()")
                try await browser.press(.enter)
                try await browser.wait(until: "document.querySelector('dialog').open")
                for _ in 0..<6 {
                    try await browser.press(.tab)
                    let isInside =
                        "document.activeElement === document.body || document.activeElement.closest('dialog')"
                    #expect(try await browser.evaluate("return Boolean(\(isInside))", as: Bool.self))
                }
                try await browser.press(.escape)
                try await browser.wait(
                    until: "!document.querySelector('dialog').open && document.activeElement === \(cordon)")
                #expect(try await scene.client.children(of: "/commands/shards/cordons").names == [])

                try await browser.press(.enter)
                try await browser.wait(until: "document.querySelector('dialog').open")
                let fill = """
                    document.querySelector('#dialog-reason').value = 'disk failure';
                    document.querySelector('#dialog-operator').value = 'ada';
                    document.querySelector('#dialog-confirm').click();
                    """
                try await browser.run(fill)
                try await browser.wait(until: "text('#partitions').includes('cordoned: ')")
                try await browser.wait(until: "!document.querySelector('dialog').open")
                let (data, _) = try await scene.client.data(at: "/commands/shards/cordons/web-1")
                #expect(String(decoding: data, as: UTF8.self).contains("disk failure"))
                #expect(try await browser.problems() == [])

                // Without the token, the page asks for it, and shows the refusal of a wrong one.
                try await browser.open("about:blank")
                try await browser.open(dashboard.address)
                try await browser.run(Self.helpers)
                let uncordon = "document.querySelector('[data-verb=partitions-uncordon]')"
                try await browser.wait(until: "\(uncordon).checkVisibility()")
                try await browser.run(
                    "\(uncordon).click(); document.querySelector('#dialog-token').value = 'wrong'; \(fill)")
                try await browser.wait(until: "text('#dialog-failure').includes('token')")
                #expect(try await scene.client.exists(at: "/commands/shards/cordons/web-1") != nil)
            }
        }
    }

    @Test func `a hold is made, shown and removed`() async throws {
        try await DashboardScene.with("/held") { scene in
            try await scene.createProcessors("/orders", ["web-1", "web-2"])
            try await withPage(["/held"], ["--allow-changes"]) { browser, _ in
                let (hold, unhold) = ("exclusive-hold", "exclusive-unhold")
                func button(_ verb: String) -> String { "document.querySelector('[data-verb=\(verb)]')" }
                func confirm(_ verb: String, _ name: String) async throws {
                    try await browser.wait(until: "\(button(verb)).checkVisibility()")
                    try await browser.run(
                        """
                        \(button(verb)).click();
                        document.querySelector('#dialog-reason').value = 'a migration';
                        document.querySelector('#dialog-operator').value = '\(name)';
                        """)
                    try await browser.run("document.querySelector('#dialog-confirm').click()")
                    try await browser.wait(until: "!document.querySelector('dialog').open")
                }
                try await browser.wait(until: "\(button(hold)).checkVisibility()")
                #expect(try await browser.evaluate("return \(button(unhold)).hidden", as: Bool.self))
                try await confirm(hold, "ada")
                try await browser.wait(until: "text('#exclusive').includes('held by ada: a migration')")
                try await confirm(hold, "bob")
                try await browser.wait(until: "text('#exclusive').includes('held by bob: a migration')")
                // The first of the choices, which are sorted, is selected.
                try await confirm(unhold, "eve")
                try await browser.wait(until: "!text('#exclusive').includes('held by ada')")
                try await confirm(unhold, "eve")
                try await browser.wait(until: "text('#exclusive').includes('no window')")
                #expect(try await scene.client.exists(at: "/held/orders/signal") == nil)
                #expect(try await browser.problems() == [])
            }
        }
    }

    @Test func `without --allow-changes there are no buttons for commands`() async throws {
        try await DashboardScene.with("/reading") { scene in
            try await scene.createPartitions("/shards", 4, nodes: ["web-1", "web-2"])
            try await withPage(["/reading"]) { browser, _ in
                try await browser.wait(until: "text('#partitions').includes('web-2')")
                let buttons = try await browser.evaluate(
                    "return [...document.querySelectorAll('[data-verb]')].filter((one) => one.checkVisibility()).length",
                    as: Int.self)
                #expect(buttons == 0)
                #expect(try await browser.evaluate("return text('footer').includes('--allow-changes')", as: Bool.self))
            }
        }
    }

    // MARK: Many recipes

    @Test func `200 processors and 1,000 partitions stay smooth while their states change`() async throws {
        let ids = (1...200).map { "processor-\($0)" }
        try await DashboardScene.with("/many") { scene in
            try await scene.createProcessors("/orders", ids)
            try await scene.createPartitions("/shards", 1000, nodes: ["web-1", "web-2", "web-3", "web-4"])
            try await withPage(["/many"]) { browser, _ in
                try await browser.wait(until: "text('#exclusive .counts').startsWith('200 processors')")
                try await browser.wait(until: "text('#partitions .facts').startsWith('1,000 partitions')")
                try await browser.run("openAll()")
                for (width, height) in [(1280, 900), (360, 740)] {
                    try await browser.setScreen(width: width, height: height)
                    let end = OneShot<Void>()
                    let changing = Task { try await Self.change(scene, ids, until: end) }
                    let frames: Frames = try await browser.evaluateLater(Self.measureFrames)
                    end.set(())
                    try await changing.value
                    #expect(frames.count > 30, "\(frames)")
                    // The states of the page have changed with those of the processors.
                    #expect(frames.summaries > 0, "\(frames)")
                    print("dashboard page, 200 processors and 1,000 partitions, \(width) px: \(frames)")
                    try await browser.wait(until: "text('#exclusive .counts').includes('200 running')")
                    try await browser.wait(until: "fits()")
                }
                #expect(try await browser.problems() == [])
            }
        }
    }

    /// The times between frames, in milliseconds.
    private struct Frames: Decodable, CustomStringConvertible {
        var count, summaries: Int
        var median, p95, maximum: Double
        var elements: Int

        var description: String {
            "\(count) frames, p50 \(median) ms, p95 \(p95) ms, max \(maximum) ms, \(summaries) states, \(elements) elements"
        }
    }

    private static let measureFrames = """
        const times = [], summaries = new Set();
        const end = performance.now() + 6000;
        let last;
        const frame = (time) => {
          if (last !== undefined) times.push(time - last);
          last = time;
          summaries.add(document.querySelector("#exclusive .counts").textContent);
          if (time < end) { requestAnimationFrame(frame); return; }
          times.sort((one, other) => one - other);
          const at = (part) => Math.round(times[Math.min(times.length - 1, Math.floor(times.length * part))] * 10) / 10;
          done({ count: times.length, summaries: summaries.size, median: at(0.5), p95: at(0.95), maximum: at(1),
            elements: document.getElementsByTagName("*").length });
        };
        requestAnimationFrame(frame);
        """

    /// Opens windows, pauses and resumes processors and moves partitions, and finishes the last round.
    private static func change(_ scene: DashboardScene, _ ids: [String], until end: OneShot<Void>) async throws {
        var round = 0
        while end.value == nil {
            round += 1
            try await scene.requestWindow("/orders", by: "ada", reason: "round \(round)")
            for start in stride(from: 0, to: ids.count, by: 20) {
                let part = start..<(start + 20)
                _ = try await scene.client.transaction(
                    part.map {
                        .setData(
                            DashboardScene.processor(ids[$0], inside: $0), at: scene.root + scene.lock("/orders", $0))
                    })
                _ = try await scene.client.transaction(part.map { .delete(scene.root + scene.lock("/orders", $0)) })
                let partition = DashboardScene.partition((round * 10 + start) % 1000)
                try await scene.move(partition, of: "/shards", to: "web-\(round % 4 + 1)")
            }
            try await scene.endWindow("/orders")
            try await scene.createAll(
                ids.indices.map { (scene.lock("/orders", $0), DashboardScene.processor(ids[$0]), .ephemeral) })
        }
    }

    // MARK: Pictures

    /// With `ZK_DASHBOARD_PICTURES`, writes the pictures of the documentation to this folder.
    @Test func `recipes of each kind are shown together`() async throws {
        let folder = inheritedEnvironment()["ZK_DASHBOARD_PICTURES"]
        // The pictures show a time line of a minute.
        let scale = folder == nil ? 0 : 6
        try await DashboardScene.with("/app") { scene in
            try await scene.createQueue("/leader", ["web-1", "web-2", "web-3"])
            try await scene.create("/leader-epoch", "")
            try await scene.createQueue("/locks/invoices", ["billing-2", "billing-1", "export"])
            try await scene.createQueue("/locks/prices", ["web-1", "web-2", "web-3"], kind: "-__READ__")
            try await scene.createPartitions("/shards", 48, nodes: ["web-1", "web-2", "web-3"])
            try await withPage(["/app"]) { browser, _ in
                try await browser.run("document.querySelector('#range').value = '60'")
                try await browser.run("document.querySelector('#range').dispatchEvent(new Event('change'))")
                let mode = try ExclusiveMode(client: scene.client, path: "/app/orders")
                let gates = Task { try await Self.runGates(mode, slowest: .milliseconds(100 + 700 * scale)) }
                let task = Task { try await Self.runTask(scene.client) }
                try await browser.wait(until: "text('#exclusive .counts').includes('6 running')")
                for number in 0..<4 {
                    try await scene.move(
                        DashboardScene.partition(3 * number), of: "/shards", to: "web-\(number % 2 + 2)")
                    try await Task.sleep(for: .seconds(scale))
                    try await mode.withWindow(id: "ada", reason: "nightly task") { _ in
                        try await browser.wait(until: "\(Self.badge) === 'window open'")
                        try await Task.sleep(for: .milliseconds(500 * scale))
                        guard number == 3 else { return }
                        let texts = ["web-1", "billing-2", "/app/report", "4 moves", "standalone"]
                        for text in texts { try await browser.wait(until: "text('main').includes('\(text)')") }
                        try await browser.wait(until: "text('#schedules').includes('failed')")
                        guard let folder else { return }
                        try await browser.run("document.querySelector('header').style.position = 'static'")
                        try await browser.writePicture(of: "header, #exclusive", to: "\(folder)/dashboard-window.png")
                        try await browser.setScreen(width: 1280, height: 900, isDark: true)
                        try await browser.wait(until: "matchMedia('(prefers-color-scheme: dark)').matches")
                        try await browser.writePicture(
                            of: "#queues, #schedules, #partitions", to: "\(folder)/dashboard-recipes.png")
                    }
                }
                gates.cancel()
                task.cancel()
                _ = (await gates.result, await task.result)
                #expect(try await browser.problems() == [])
            }
        }
    }

    /// Runs six processors, one of which is inside an event most of the time.
    private static func runGates(_ mode: ExclusiveMode, slowest: Duration) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 1...6 {
                group.addTask {
                    try await mode.withGate(id: "orders-\(number)") { gate in
                        while !Task.isCancelled {
                            try await gate.withPermit { _ in
                                try? await Task.sleep(for: number == 4 ? slowest : .milliseconds(20 * number))
                            }
                            try await Task.sleep(for: .milliseconds(5))
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    /// Runs a scheduled task whose every third run fails.
    private static func runTask(_ client: ZooKeeperClient) async throws {
        struct Refusal: Error, CustomStringConvertible {
            var description: String { "the store refused the report" }
        }
        let task = try ScheduledTask(
            client: client, path: "/app/report", id: "web-1", name: "report", schedule: .every(.seconds(2)),
            delivery: .atLeastOnce
        ) { run in
            let second = run.period.id.utf8.reduce(0) { $0 + Int($1) } % 9
            try await Task.sleep(for: .milliseconds(100 + 120 * second))
            if second % 3 == 0 { throw Refusal() }
        }
        try await task.run()
    }
}
