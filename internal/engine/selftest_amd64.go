package engine

// returnInstruction is "ret".
var returnInstruction = []byte{0xc3}
