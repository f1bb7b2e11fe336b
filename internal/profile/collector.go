package profile

// Config says what a Collector is to watch.
type Config struct {
	// Funcs gives the function of each candidate.
	Funcs []uint32
	// Clock is nanoseconds since some moment, never falling.
	Clock func() int64
	// MaxNodes bounds the tree; what is beyond it goes to Other. 0: 2,048.
	MaxNodes int
	// Every is the mean time between entries, in nanoseconds, above which looking
	// at them is cheap enough; where entries come more often the functions that
	// make the most of them are disarmed for a while. 0: nothing is disarmed.
	Every int64
	// Arm is told to arm or to disarm a candidate. Needed with Every alone.
	Arm func(k int, on bool)
}

// Entry says how a function is entered.
type Entry uint8

// The ways to enter a function.
const (
	// Fresh is a call from its beginning.
	Fresh Entry = iota
	// Resumed is a Go function that unwound for the scheduler and goes on, under
	// the scheduler's loop instead of under its caller: it belongs to the context
	// of its last fresh call.
	Resumed
	// Rewound is an asyncify guest's function that is entered again under its
	// caller.
	Rewound
)

// Collector gathers the profile of one run. It belongs to the guest's goroutine.
// Once every context has been met Enter and Leave allocate nothing.
type Collector struct {
	conf  Config
	nodes []node // nodes[root] is the context outside all candidates
	stack []frame
	last  int64 // when the present context's self time was last counted
	cands []cand
	cache [cacheSize]struct{ from, k, to uint32 } // of next; from is one more
	pace  pace
	runs  uint64 // 1 until the first Take
}

const (
	root      = 0
	cacheSize = 1 << 10
	// maxDepth bounds the calls that are watched at once.
	maxDepth = 1 << 20
)

// node is a context, while it is gathered.
type node struct {
	Stats
	k                      int32 // -1: the root, or Other
	parent, child, sibling uint32
	active                 uint32 // entries of it that have not left
	since                  int64  // when active last became 1
	mixed                  bool   // part of the present outermost call ran elsewhere
	fresh                  bool   // the present outermost entry begins a call
}

// frame is a call in progress.
type frame struct {
	node    uint32
	k       int32
	resumed bool
	// Tag is the caller's: see Collector.Tag.
	tag Tag
}

// Tag is what a Collector's user wants to remember of a call in progress.
type Tag struct {
	Owned bool  // the exit is of interest to another, too
	Dirty int64 // bytes that were dirty at entry; -1: not looked
	Image string
	Began int64
}

// cand is a candidate.
type cand struct {
	home   uint32 // the context of its last fresh call; 0: none yet
	active uint32 // frames of it
	rest
}

// NewCollector returns a collector that has seen nothing.
func NewCollector(c Config) *Collector {
	if c.MaxNodes == 0 {
		c.MaxNodes = 2048
	}
	now := c.Clock()
	return &Collector{
		conf: c, nodes: make([]node, 1, 64), stack: make([]frame, 0, 256),
		cands: make([]cand, len(c.Funcs)), last: now, pace: newPace(now), runs: 1,
	}
}

// top is the present context.
func (c *Collector) top() uint32 {
	if n := len(c.stack); n > 0 {
		return c.stack[n-1].node
	}
	return root
}

// Depth is the number of calls in progress.
func (c *Collector) Depth() int { return len(c.stack) }

// charge counts the time since the last event as the present context's own.
func (c *Collector) charge(now int64) {
	c.nodes[c.top()].Device.Self += uint64(now - c.last)
	c.last = now
}

// Enter notes a call of candidate k that begins to run here; the caller reports
// its exit by Leave. It returns false, and notes nothing, where too many are in
// progress.
func (c *Collector) Enter(k int, how Entry) bool {
	if len(c.stack) >= maxDepth {
		return false
	}
	now := c.conf.Clock()
	c.charge(now)
	at := c.next(c.top(), k)
	f := frame{node: at, k: int32(k), tag: Tag{Dirty: -1, Began: now}}
	cd := &c.cands[k]
	n := &c.nodes[at]
	switch how {
	case Fresh:
		n.Calls++
		cd.home = at
	case Resumed:
		if cd.home != root {
			f.node = cd.home
			n = &c.nodes[f.node]
		}
		f.resumed = true
		n.Reentries++
	case Rewound:
		n.Reentries++
	}
	cd.active++
	c.stack = append(c.stack, f)
	n.begin(now, how == Fresh)
	if f.resumed {
		// The callers of the call have unwound too: it is part of their calls all
		// the same.
		for p := n.parent; p != root; p = c.nodes[p].parent {
			c.nodes[p].begin(now, false)
		}
	}
	if c.conf.Every > 0 {
		c.entered(k, now)
	}
	return true
}

func (n *node) begin(now int64, fresh bool) {
	n.active++
	if n.active == 1 {
		n.since, n.mixed, n.fresh = now, false, fresh
	}
}

// end ends an entry, and says whether it was the outermost.
func (n *node) end(now int64) bool {
	n.active--
	if n.active > 0 {
		return false
	}
	to := &n.Device
	if n.mixed {
		to = &n.Mixed
	}
	to.Nanos += uint64(now - n.since)
	if n.fresh {
		to.Calls++
	}
	return true
}

// Left is what Leave says of a call.
type Left struct {
	Tag
	Func  uint32
	Nanos int64
	node  uint32
}

// Leave notes the exit of a call of candidate k, and of those inside it whose
// exit was never told. It returns false where no such call is in progress.
func (c *Collector) Leave(k int) (Left, bool) {
	i := len(c.stack) - 1
	for i >= 0 && c.stack[i].k != int32(k) {
		i--
	}
	if i < 0 {
		return Left{}, false
	}
	now := c.conf.Clock()
	c.charge(now)
	for len(c.stack) > i+1 {
		c.pop(now)
	}
	f := c.stack[i]
	c.pop(now)
	if c.conf.Every > 0 {
		c.left(k, now-f.tag.Began, now)
	}
	return Left{Tag: f.tag, Func: c.conf.Funcs[k], Nanos: now - f.tag.Began, node: f.node}, true
}

func (c *Collector) pop(now int64) {
	f := c.stack[len(c.stack)-1]
	c.stack = c.stack[:len(c.stack)-1]
	c.cands[f.k].active--
	c.nodes[f.node].end(now)
	if f.resumed {
		for p := c.nodes[f.node].parent; p != root; p = c.nodes[p].parent {
			c.nodes[p].end(now)
		}
	}
}

// Unwind ends the calls in progress beyond depth: a trap or an exit told no stub.
func (c *Collector) Unwind(depth int) {
	now := c.conf.Clock()
	c.charge(now)
	for len(c.stack) > depth {
		c.pop(now)
	}
}

// Tag is the note on the innermost call; nil outside all.
func (c *Collector) Tag() *Tag {
	if len(c.stack) == 0 {
		return nil
	}
	return &c.stack[len(c.stack)-1].tag
}

// Mean is the mean time of the innermost context's calls so far, in nanoseconds,
// and their number.
func (c *Collector) Mean() (nanos, calls uint64) {
	s := &c.nodes[c.top()].Stats
	if calls = s.Device.Calls; calls > 0 {
		nanos = s.Device.Nanos / calls
	}
	return nanos, calls
}

// Dirtied notes how many bytes a call that has left wrote to.
func (c *Collector) Dirtied(l Left, bytes uint64) {
	n := &c.nodes[l.node]
	n.DirtyCalls++
	n.Stats.Dirtied += bytes
}

// Import notes a call of an import by the present context.
func (c *Collector) Import(kind Import) {
	c.nodes[c.top()].Imports[kind]++
}

// Context appends the functions of the present context, outermost first.
func (c *Collector) Context(to []uint32) []uint32 {
	from := len(to)
	for at := c.top(); at != root; at = c.nodes[at].parent {
		to = append(to, c.function(at))
	}
	for i, j := from, len(to)-1; i < j; i, j = i+1, j-1 {
		to[i], to[j] = to[j], to[i]
	}
	return to
}

// Moved is a call that left for the clone and came back, or did not.
type Moved struct {
	Failed   bool
	Remote   int64 // nanoseconds that the clone computed
	Up, Down int64 // bytes shipped
	Dirtied  int64 // bytes of the pages that it wrote to; -1: not known
}

// Depart stops the present context's own time: the guest is parked.
func (c *Collector) Depart() { c.charge(c.conf.Clock()) }

// Arrive notes a call of candidate k, since Depart, that did not run here.
func (c *Collector) Arrive(k int, how Entry, m Moved) {
	now := c.conf.Clock()
	took := uint64(now - c.last)
	c.last = now
	c.pace.start += int64(took) // what it cost is not the stubs'
	at, cd := c.next(c.top(), k), &c.cands[k]
	if how == Resumed && cd.home != root {
		at = cd.home
	}
	n := &c.nodes[at]
	n.Up += uint64(m.Up)
	n.Down += uint64(m.Down)
	if m.Failed {
		n.Fallbacks++
		n.Lost += took
	} else {
		if how == Fresh {
			cd.home = at
			n.Calls++
			n.Clone.Calls++
		} else {
			n.Reentries++
		}
		n.Away += took
		n.Clone.Nanos += uint64(m.Remote)
		n.Clone.Self += uint64(m.Remote)
	}
	if m.Dirtied >= 0 && !m.Failed {
		n.DirtyCalls++
		n.Stats.Dirtied += uint64(m.Dirtied)
	}
	for _, f := range c.stack {
		for at := f.node; at != root && !c.nodes[at].mixed; at = c.nodes[at].parent {
			c.nodes[at].mixed = true
		}
	}
}

func (c *Collector) function(at uint32) uint32 {
	if k := c.nodes[at].k; k >= 0 {
		return c.conf.Funcs[k]
	}
	return Other
}

// Take returns what was gathered since the last Take. Calls in progress are in
// it with their own time so far, and with the rest later.
func (c *Collector) Take() *Tree {
	c.charge(c.conf.Clock())
	t := New()
	t.Runs, c.runs = c.runs, 0
	t.Root.Stats = c.nodes[root].Stats
	c.nodes[root].Stats = Stats{}
	to := make([]*Node, len(c.nodes))
	to[root] = t.Root
	for i := 1; i < len(c.nodes); i++ {
		n := &c.nodes[i] // behind its parent
		to[i] = to[n.parent].Make(c.function(uint32(i)))
		to[i].Stats, n.Stats = n.Stats, Stats{}
	}
	prune(t.Root)
	return t
}

// prune drops the contexts below n in which nothing was seen.
func prune(n *Node) {
	kept := n.Children[:0]
	for _, c := range n.Children {
		if prune(c); len(c.Children) > 0 || c.Stats != (Stats{}) {
			kept = append(kept, c)
		}
	}
	n.Children = kept
}
