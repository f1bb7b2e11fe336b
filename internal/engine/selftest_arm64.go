package engine

// returnInstruction is "ret", little-endian.
var returnInstruction = []byte{0xc0, 0x03, 0x5f, 0xd6}
