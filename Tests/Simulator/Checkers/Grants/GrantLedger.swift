internal import ZooKeeper

/// Replays steps, collects the grants, and notes what a single step breaks.
///
/// What two grants break together is found afterwards, by ``GrantOrder``.
struct GrantLedger {
    private struct Key: Hashable {
        var process: String
        var id: GrantID
    }

    /// A token that the store has accepted, and where.
    private struct Accepted {
        var token: Int64
        var position: Int
    }

    /// Who uses a token.
    private struct TokenUse {
        /// The grant that was first.
        var grant: Int
        /// All grants that began with it.
        var grants: [Int]
    }

    let steps: [GrantStep]
    let rules: GrantRules
    /// Whether an act that was valid and refused still counts as the grant's.
    let countsRefusedActs: Bool

    private(set) var grants: [Grant] = []
    private(set) var violations: [Violation] = []
    /// The grant of each step, where it has one.
    private(set) var grantOfStep: [Int?]

    private var indices: [Key: Int] = [:]
    private var uses: [Int64: TokenUse] = [:]
    /// Tokens whose znode somebody deleted, perhaps before their grant began.
    private var disturbedTokens: Set<Int64> = []
    /// Where the deletion of a token's znode was committed.
    private var deletions: [Int64: Int] = [:]
    private var openGrants: [ZNodeName: [Int]] = [:]
    private var highestAccepted: Accepted?
    private var highestExclusiveAccepted: Accepted?

    init(_ steps: [GrantStep], rules: GrantRules, countsRefusedActs: Bool = true) {
        self.steps = steps
        self.rules = rules
        self.countsRefusedActs = countsRefusedActs
        grantOfStep = Array(repeating: nil, count: steps.count)
        for position in steps.indices { replay(position) }
    }

    private mutating func replay(_ position: Int) {
        let step = steps[position]
        switch step.event {
        case .began(let id, let token, let isShared):
            begin(id, token, isShared, at: position)
        case .acted(let id, let isValid, let accepted):
            guard let grant = grant(id, at: position) else { return }
            act(grant, isValid, accepted, at: position)
        case .downgraded(let id):
            guard let grant = grant(id, at: position), !grants[grant].isShared else { return }
            grants[grant].isShared = true
            grants[grant].downgraded = position
        case .ended(let id):
            guard let grant = grant(id, at: position) else { return }
            grants[grant].shares = max(0, grants[grant].shares - 1)
            if grants[grant].shares == 0 { grants[grant].closed = grants[grant].closed ?? position }
        case .disturbed(let token):
            disturbedTokens.insert(token)
            for grant in uses[token]?.grants ?? [] where grants[grant].disturbed == nil {
                grants[grant].disturbed = position
            }
        case .deleted(let token):
            deletions[token] = deletions[token] ?? position
        case .other:
            break
        case .stopped:
            for grant in openGrants.removeValue(forKey: step.process) ?? [] where grants[grant].shares > 0 {
                grants[grant].shares = 0
                grants[grant].closed = position
            }
        }
    }

    private mutating func begin(_ id: GrantID, _ token: Int64, _ isShared: Bool, at position: Int) {
        let process = steps[position].process
        let key = Key(process: process, id: id)
        judgeUse(of: token, isShared, at: position)
        if let known = indices[key], grants[known].token == token {
            grants[known].shares += 1
            grants[known].closed = nil
            openGrants[process, default: []].append(known)
            grantOfStep[position] = known
            return
        }
        let index = grants.count
        var grant = Grant(process: process, id: id, token: token, isShared: isShared, began: position)
        grant.disturbed = disturbedTokens.contains(token) ? position : nil
        grants.append(grant)
        indices[key] = index
        openGrants[process, default: []].append(index)
        grantOfStep[position] = index
        uses[token, default: TokenUse(grant: index, grants: [])].grants.append(index)
    }

    /// Only shared grants of one process may have one token.
    private mutating func judgeUse(of token: Int64, _ isShared: Bool, at position: Int) {
        guard let use = uses[token] else { return }
        let (first, step) = (grants[use.grant], steps[position])
        guard !first.process.hasBytes(of: step.process) || !isShared || !first.isShared else { return }
        report(
            rules.oneGrant, "\(step.process) began with token \(token), which \(first.process) had",
            [first.began, position]
        )
    }

    private mutating func grant(_ id: GrantID, at position: Int) -> Int? {
        let step = steps[position]
        if let grant = indices[Key(process: step.process, id: id)] {
            grantOfStep[position] = grant
            return grant
        }
        report(rules.beginning, "\(step.process) used \(id), which it had not begun", [position])
        return nil
    }

    private mutating func act(_ index: Int, _ isValid: Bool, _ accepted: Bool?, at position: Int) {
        if accepted == true { accept(index, at: position) }
        guard isValid else { return }
        let grant = grants[index]
        grants[index].lastValid = position
        if grant.shares == 0 {
            report(rules.afterEnd, "\(name(index)) acted", [grant.closed ?? grant.began, position])
        }
        judgeDeletion(grant, index, at: position)
        guard grant.disturbed == nil else { return }
        if accepted == false { report(rules.refusal, "\(name(index)) was refused", [position]) }
        if accepted != false || countsRefusedActs { extend(index, to: position) }
    }

    /// A deletion must be noticed at last when what was sure at that moment has passed.
    private mutating func judgeDeletion(_ grant: Grant, _ index: Int, at position: Int) {
        guard let deletion = deletions[grant.token], let limit = rules.deletionNoticedWithin,
            steps[position].time - steps[deletion].time > limit
        else { return }
        report(rules.deletion, "\(name(index)) acted", [deletion, position])
    }

    /// Lets the span of the grant's present kind reach a valid act.
    private mutating func extend(_ index: Int, to position: Int) {
        let isShared = grants[index].isShared
        guard isShared else {
            let first = grants[index].exclusiveSpan?.first ?? position
            grants[index].exclusiveSpan = GrantSpan(first: first, last: position, grant: index, isShared: false)
            return
        }
        var first = grants[index].sharedSpan?.first ?? position
        // Held all the while: it excluded everybody up to the downgrade.
        if let downgraded = grants[index].downgraded, grants[index].exclusiveSpan != nil {
            grants[index].exclusiveSpan?.last = downgraded
            first = downgraded
        }
        grants[index].sharedSpan = GrantSpan(first: first, last: position, grant: index, isShared: true)
    }

    private mutating func accept(_ index: Int, at position: Int) {
        let grant = grants[index]
        let limit = grant.isShared ? highestExclusiveAccepted : highestAccepted
        if let limit, grant.token < limit.token {
            report(rules.fencing, "\(name(index)) after token \(limit.token)", [limit.position, position])
        }
        let accepted = Accepted(token: grant.token, position: position)
        if grant.token >= highestAccepted?.token ?? .min { highestAccepted = accepted }
        if !grant.isShared, grant.token >= highestExclusiveAccepted?.token ?? .min {
            highestExclusiveAccepted = accepted
        }
    }

    /// Whether a grant's znode had been deleted by then.
    func isDisturbed(_ index: Int, at position: Int) -> Bool { (grants[index].disturbed ?? .max) < position }

    /// A grant's process and token, and its event if it is one's.
    func name(_ index: Int) -> String {
        let grant = grants[index]
        guard case .event = grant.id else { return "\(grant.process) (token \(grant.token))" }
        return "\(grant.process) (\(grant.id), token \(grant.token))"
    }

    /// A violation shown by steps at these positions, with the time of each.
    func violation(_ rule: String, _ detail: String, _ positions: [Int]) -> Violation {
        let times = positions.map { steps[$0].time.inSeconds }.joined(separator: " and ")
        return Violation(rule: rule, detail: "\(detail), at \(times)", entries: positions.map { steps[$0].entry })
    }

    private mutating func report(_ rule: String, _ detail: String, _ positions: [Int]) {
        violations.append(violation(rule, detail, positions))
    }
}
