internal import HashTreeCollections
internal import ZooKeeper

// The effect of an answer on the cached content.
extension SubtreeStateMachine {
    mutating func take(_ answer: Answer, at place: Place, _ now: MonotonicInstant) {
        switch answer {
        case .data(let data, let stat): takeData(data, stat, at: place, now)
        case .children(let names, let stat): takeNames(names, stat, at: place, now)
        case .exists:
            close(place)
            standRoot(now)
        case .missing where place.key == .root: takeMissingRoot(at: place, now)
        // The watch on the parent fires as well.
        case .missing: remove(place.key)
        case .failed(let error): takeFailure(error, at: place, now)
        }
    }

    private mutating func takeData(
        _ data: [UInt8], _ stat: ZNodeStat, at place: Place, _ now: MonotonicInstant
    ) {
        guard let node = nodes[place.key] else { return }
        let known = place.key == .root ? newestRoot : snapshot.znodes[place.key]?.stat?.mzxid
        if let known, stat.mzxid < known { return fallBehind(place, now) }
        if place.key == .root {
            newestRoot = stat.mzxid
            knowRoot()
        }
        let isWatched = node.data.watch != nil || wantsWatch(place)
        show(
            CachedZNode(path: place.key.path(below: scope.root), data: data, stat: stat, isWatched: isWatched),
            at: place.key)
        let isListed = node.listed?.czxid == stat.czxid && (node.children.watch != nil || node.children.ticket == nil)
        if node.depth < scope.depth, stat.ephemeralOwner == nil, !isListed {
            extendLoading(with: place) { $0.mark(place.key, .children, now) }
        }
        settle(place, now)
    }

    private mutating func takeNames(
        _ names: [String], _ stat: ZNodeStat, at place: Place, _ now: MonotonicInstant
    ) {
        guard let node = nodes[place.key] else { return }
        if let listed = node.listed, stat.czxid < listed.czxid || stat.pzxid < listed.pzxid {
            return fallBehind(place, now)
        }
        if place.key == .root { knowRoot() }
        let keys = names.map { place.key.appending($0) }
        removeChildren(of: place.key, but: Set(keys))
        // The znode was created again, so the znodes below the earlier one are gone.
        if let listed = node.listed, listed.czxid != stat.czxid { removeOlder(below: place.key, than: stat.czxid, now) }
        nodes[place.key]?.listed = stat
        extendLoading(with: place) { machine in
            for key in keys where machine.nodes[key] == nil { machine.add(key, below: place.key, now) }
        }
        settle(place, now)
    }

    /// Removes the znodes below a key that were created before a transaction.
    ///
    /// A znode with a newer znode below it is read again instead.
    private mutating func removeOlder(below key: ZNodeKey, than instant: ZXID, _ now: MonotonicInstant) {
        for child in nodes[key]?.names.sorted() ?? [] {
            // The znodes below it were found by a newer listing, and some of them may not have been read yet.
            if let listed = nodes[child]?.listed, listed.czxid > instant {
                if !stands(child, since: instant) { mark(child, .data, now) }
                continue
            }
            removeOlder(below: child, than: instant, now)
            if stands(child, since: instant) { continue }
            guard nodes[child]?.names.isEmpty == false else {
                remove(child)
                continue
            }
            mark(child, .data, now)
            mark(child, .children, now)
        }
    }

    /// Whether a znode is known to have been created after a transaction.
    private func stands(_ key: ZNodeKey, since instant: ZXID) -> Bool {
        guard let czxid = snapshot.znodes[key]?.stat?.czxid else { return false }
        return czxid > instant
    }

    /// Extends the first snapshot by the znodes that are found while it is read.
    private mutating func extendLoading(with place: Place, _ find: (inout Self) -> Void) {
        let isPartOfIt = loadsUpTo.map { $0 >= ticket(of: place) ?? .max } ?? false
        find(&self)
        guard isPartOfIt else { return }
        loadsUpTo = loadsUpTo == .max ? newestTicket : max(loadsUpTo ?? 0, newestTicket)
    }

    private mutating func add(_ key: ZNodeKey, below parent: ZNodeKey, _ now: MonotonicInstant) {
        let path = key.path(below: scope.root)
        guard let depth = nodes[parent]?.depth, scope.isIncluded(path) else { return }
        nodes[parent]?.names.insert(key)
        nodes[key] = Node(depth: depth + 1)
        if scope.readsData { mark(key, .data, now) } else { show(CachedZNode(path: path), at: key) }
    }

    private mutating func takeFailure(_ error: ZooKeeperError, at place: Place, _ now: MonotonicInstant) {
        let isVital = place.key == .root && scope.isRootVital
        if error.isWatchRefusal, !isVital, nodes[place.key]?[place.part].isWatchRefused == false {
            nodes[place.key]?[place.part].isWatchRefused = true
            return mark(place.key, place.part, now)
        }
        if error.isAboutZNode { takeRefusal(error, at: place) }
        fail(place, now)
    }

    /// Handles a read that the server refuses.
    private mutating func takeRefusal(_ error: ZooKeeperError, at place: Place) {
        guard place.key != .root || scope.showsRoot && place.part == .children else {
            // From now on, no notification about the root arrives, not even about its deletion.
            for key in nodes[.root]?.names.sorted() ?? [] { remove(key) }
            hide(.root)
            nodes[.root]?.listed = nil
            if case .unreadable(let known) = rootContent, known == error {} else { noteChange(nil) }
            (rootContent, loadsUpTo) = (.unreadable(error), .max)
            return
        }
        var znode = snapshot.znodes[place.key] ?? CachedZNode(path: place.key.path(below: scope.root))
        if place.part == .data { (znode.data, znode.stat) = (nil, nil) }
        znode.error = error
        show(znode, at: place.key)
        // Nothing more can be known about the part now. The cache continues to read it.
        close(place)
    }
}

// MARK: Additions and removals

extension SubtreeStateMachine {
    private mutating func show(_ znode: CachedZNode, at key: ZNodeKey) {
        let before = snapshot.znodes.updateValue(znode, forKey: key)
        guard before != znode, loadsUpTo == nil else { return }
        noteChange(CacheChange(before: before, after: znode))
    }

    private mutating func hide(_ key: ZNodeKey) {
        guard let before = snapshot.znodes.removeValue(forKey: key), loadsUpTo == nil else { return }
        noteChange(CacheChange(before: before, after: nil))
    }

    /// Removes a znode and all znodes below it.
    mutating func remove(_ key: ZNodeKey) {
        guard key != .root, let node = nodes[key] else { return }
        removeChildren(of: key)
        for part in [Part.data, .children] {
            let place = Place(key: key, part: part)
            if let watch = node[part].watch { giveUp(Watch(number: watch, key: key, part: part)) }
            close(place)
        }
        nodes[key] = nil
        if let parent = key.parent { nodes[parent]?.names.remove(key) }
        hide(key)
    }

    private mutating func removeChildren(of key: ZNodeKey, but kept: Set<ZNodeKey> = []) {
        guard let names = nodes[key]?.names, !names.isEmpty else { return }
        for child in names.subtracting(kept).sorted() { remove(child) }
    }

    /// Publishes the first snapshot once everything in it has been read.
    mutating func loaded() {
        guard loadsUpTo != nil, !isRootMissing, nodes[.root]?.isKnown(scope) == true else { return }
        (loadsUpTo, rootContent) = (nil, nil)
        for znode in snapshot.sorted { noteChange(CacheChange(before: nil, after: znode)) }
        noteChange(nil)
    }
}

// MARK: The root

extension SubtreeStateMachine {
    /// Handles a root that seems to be gone, by a watched read of its existence.
    mutating func missRoot(_ now: MonotonicInstant) {
        isRootMissing = true
        mark(.root, .data, now)
    }

    /// Handles a write to the root's own data, or the creation of the root.
    mutating func standRoot(_ now: MonotonicInstant) {
        guard isRootMissing || scope.showsRoot else { return }
        isRootMissing = false
        mark(.root, scope.showsRoot ? .data : .children, now)
    }

    private mutating func takeMissingRoot(at place: Place, _ now: MonotonicInstant) {
        guard place.part == .data, isRootMissing else {
            // Set before the part is closed, because a missing root does not count as loaded.
            isRootMissing = true
            close(place)
            return missRoot(now)
        }
        // The answer is about the existence of the root: no znode exists below a missing root.
        for key in nodes[.root]?.names.sorted() ?? [] { remove(key) }
        if let stat = snapshot.znodes[.root]?.stat { newestRoot = ZXID(rawValue: stat.mzxid.rawValue + 1) }
        hide(.root)
        if let watch = nodes[.root]?.children.watch {
            giveUp(Watch(number: watch, key: .root, part: .children))
            nodes[.root]?.children.watch = nil
        }
        nodes[.root]?.listed = nil
        if case .absent = rootContent {} else { noteChange(nil) }
        (rootContent, loadsUpTo) = (.absent, .max)
        settle(place, now)
    }

    /// Records that the root exists; the znodes below it are shown once they have been read.
    private mutating func knowRoot() {
        isRootMissing = false
    }
}

extension SubtreeStateMachine.Node {
    /// Whether the root has been read as far as the scope requires.
    fileprivate func isKnown(_ scope: SubtreeStateMachine.Scope) -> Bool {
        scope.depth == 0 || listed != nil || children.ticket == nil && data.ticket == nil
    }
}

extension ZNodeKey {
    /// The parent key, or `nil` for the root.
    var parent: ZNodeKey? {
        guard !text.isEmpty else { return nil }
        guard let slash = text.utf8.lastIndex(of: UInt8(ascii: "/")) else { return .root }
        return ZNodeKey(String(text[..<slash]))
    }
}
