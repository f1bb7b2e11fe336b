package wasmbin

// imm says what follows an opcode, as far as the scanner must know it.
type imm uint8

const (
	immInvalid imm = iota
	immNone
	immBlock // block and if: a block type
	immLoop
	immElse
	immEnd
	immLabel
	immBrTable
	immCall
	immCallIndirect
	immReturnCall
	immReturnCallIndirect
	immSelect
	immLocal
	immGlobal
	immTable
	immMemArg
	immMemory // one byte that must be 0
	immI32
	immI64
	imm4
	imm8
	immRefNull
	immRefFunc
	immFC
	immFD
	immLegacyEH
	immEH
	immThreads
	immTyped
	immGC
	immStack
)

var opcodes = func() (t [256]imm) {
	set := func(kind imm, from, to int) {
		for i := from; i <= to; i++ {
			t[i] = kind
		}
	}
	set(immNone, 0x00, 0x01)
	set(immBlock, 0x02, 0x02)
	set(immLoop, 0x03, 0x03)
	set(immBlock, 0x04, 0x04)
	set(immElse, 0x05, 0x05)
	set(immLegacyEH, 0x06, 0x07) // try, catch
	set(immEH, 0x08, 0x08)       // throw
	set(immLegacyEH, 0x09, 0x09) // rethrow
	set(immEH, 0x0a, 0x0a)       // throw_ref
	set(immEnd, 0x0b, 0x0b)
	set(immLabel, 0x0c, 0x0d)
	set(immBrTable, 0x0e, 0x0e)
	set(immNone, 0x0f, 0x0f)
	set(immCall, 0x10, 0x10)
	set(immCallIndirect, 0x11, 0x11)
	set(immReturnCall, 0x12, 0x12)
	set(immReturnCallIndirect, 0x13, 0x13)
	set(immTyped, 0x14, 0x15)    // call_ref, return_call_ref
	set(immLegacyEH, 0x18, 0x19) // delegate, catch_all
	set(immNone, 0x1a, 0x1b)
	set(immSelect, 0x1c, 0x1c)
	set(immEH, 0x1f, 0x1f) // try_table
	set(immLocal, 0x20, 0x22)
	set(immGlobal, 0x23, 0x24)
	set(immTable, 0x25, 0x26)
	set(immMemArg, 0x28, 0x3e)
	set(immMemory, 0x3f, 0x40)
	set(immI32, 0x41, 0x41)
	set(immI64, 0x42, 0x42)
	set(imm4, 0x43, 0x43)
	set(imm8, 0x44, 0x44)
	set(immNone, 0x45, 0xc4)
	set(immRefNull, 0xd0, 0xd0)
	set(immNone, 0xd1, 0xd1)
	set(immRefFunc, 0xd2, 0xd2)
	set(immGC, 0xd3, 0xd3)    // ref.eq
	set(immTyped, 0xd4, 0xd6) // ref.as_non_null, br_on_null, br_on_non_null
	set(immStack, 0xe0, 0xe6)
	set(immGC, 0xfb, 0xfb)
	set(immFC, 0xfc, 0xfc)
	set(immFD, 0xfd, 0xfd)
	set(immThreads, 0xfe, 0xfe)
	return t
}()

// features gives the proposal that an opcode kind belongs to.
var features = map[imm]string{
	immLegacyEH: FeatureLegacyEH,
	immEH:       FeatureEH,
	immThreads:  FeatureThreads,
	immTyped:    FeatureTypedFuncRefs,
	immGC:       FeatureGC,
	immStack:    FeatureStackSwitching,
}

// vectorImm says what follows a vector opcode: a memory argument, and so many bytes.
func vectorImm(sub uint32) (memArg bool, extra int) {
	switch {
	case sub <= 11 || sub == 92 || sub == 93: // loads and stores
		return true, 0
	case sub == 12 || sub == 13: // v128.const, i8x16.shuffle
		return false, 16
	case sub >= 21 && sub <= 34: // lane access
		return false, 1
	case sub >= 84 && sub <= 91: // loads and stores of one lane
		return true, 1
	}
	return false, 0
}
