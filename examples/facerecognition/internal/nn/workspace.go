package nn

// patchFloats bounds the patches that a convolution gathers at a time, so that
// they stay in the processor's cache: 256 KiB.
const patchFloats = 1 << 16

// Workspace holds the memory that layers work in, so that a network that runs
// again and again allocates only the first time. It may not be used by two
// goroutines at once.
type Workspace struct {
	free    [][]float32
	patches []float32
	pair    []float32
	table   [256]float32
}

// Tensor returns a tensor whose values are whatever they were before. Give it
// back with Free when it is no longer needed, or leave it to the collector.
func (ws *Workspace) Tensor(h, w, c int) *Tensor {
	n := h * w * c
	best := -1
	for i, b := range ws.free {
		if cap(b) >= n && (best < 0 || cap(b) < cap(ws.free[best])) {
			best = i
		}
	}
	if best < 0 {
		return NewTensor(h, w, c)
	}
	data := ws.free[best][:n]
	last := len(ws.free) - 1
	ws.free[best] = ws.free[last]
	ws.free = ws.free[:last]
	return &Tensor{H: h, W: w, C: c, Data: data}
}

// Zeros returns a tensor of zeros.
func (ws *Workspace) Zeros(h, w, c int) *Tensor {
	t := ws.Tensor(h, w, c)
	clear(t.Data)
	return t
}

// Free takes back tensors that nothing refers to any more.
func (ws *Workspace) Free(tensors ...*Tensor) {
	for _, t := range tensors {
		ws.free = append(ws.free, t.Data)
		t.Data = nil
	}
}

// Next frees a tensor and returns the one that was computed from it.
func (ws *Workspace) Next(old, computed *Tensor) *Tensor {
	ws.Free(old)
	return computed
}

// room returns a slice of n values, reusing buf where it is large enough.
func room(buf *[]float32, n int) []float32 {
	if cap(*buf) < n {
		*buf = make([]float32, n)
	}
	return (*buf)[:n]
}
