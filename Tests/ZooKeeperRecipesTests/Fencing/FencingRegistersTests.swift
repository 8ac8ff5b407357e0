import Testing
import ZooKeeperRecipes

@Suite struct FencingRegistersTests {
    private func shared(_ number: Int64) -> FencingToken { FencingToken(rawValue: number, kind: .shared) }
    private func exclusive(_ number: Int64) -> FencingToken { FencingToken(rawValue: number) }

    private func registers(_ tokens: FencingToken...) -> FencingRegisters {
        var registers = FencingRegisters()
        for token in tokens { _ = registers.accept(token) }
        return registers
    }

    @Test func `shared grants that are valid together may all write`() {
        let registers = registers(shared(101), shared(100), shared(101))
        #expect(registers.refusal(of: shared(100)) == nil)
        #expect(registers.highest == shared(101) && registers.highestExclusive == nil)
    }

    @Test func `a processor that slept through a window is refused once the window has written`() {
        let registers = registers(shared(100), exclusive(105))
        #expect(registers.refusal(of: shared(100)) == exclusive(105))
        #expect(registers.refusal(of: shared(106)) == nil)
        // The holder itself goes on writing; a lock that was downgraded keeps its number.
        #expect(registers.refusal(of: exclusive(105)) == nil && registers.refusal(of: shared(105)) == nil)
    }

    @Test func `a window that slept into the resumed events is refused once one of them has written`() {
        let registers = registers(exclusive(105), shared(107))
        #expect(registers.refusal(of: exclusive(105)) == shared(107))
        #expect(registers.refusal(of: exclusive(106)) == shared(107))
        #expect(registers.refusal(of: shared(106)) == nil)
        #expect(registers.refusal(of: exclusive(108)) == nil)
    }

    @Test func `a refused token changes nothing`() {
        let before = registers(exclusive(105), shared(107))
        for token in [exclusive(106), shared(104)] {
            var after = before
            let isAccepted = after.accept(token)
            #expect(!isAccepted && after == before)
        }
    }

    @Test(arguments: [
        FencingRegisters(), FencingRegisters(highest: FencingToken(rawValue: 7), highestExclusive: nil),
        FencingRegisters(highest: FencingToken(rawValue: 7), highestExclusive: FencingToken(rawValue: 7)),
        FencingRegisters(highest: FencingToken(rawValue: .max), highestExclusive: FencingToken(rawValue: 7)),
    ])
    func `what is stored comes back`(registers: FencingRegisters) {
        #expect(FencingRegisters(registers.description) == registers)
    }

    @Test(arguments: ["", "x", "1 2", "2 -1", "1 1 1", "1  1", " 1", "9223372036854775808"])
    func `other text is refused`(text: String) {
        #expect(FencingRegisters(text) == nil)
    }
}
