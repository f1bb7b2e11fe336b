package partition

import "fmt"

// Profile is what is known of one run of a program, the mean of several or a
// measured one, before there is a network: a tree of call contexts.
type Profile struct {
	Clones   []string // names of the clones, sites 1, 2, ...
	Contexts []Context
}

// Context is one call context of a Profile.
type Context struct {
	Parent int    // index of the caller's context, which is smaller; -1 for the root
	Func   uint32 // function index in the module
	// Calls a run. A call that unwinds and is entered again counts each time,
	// because each time would migrate.
	Calls float64
	// Seconds a run computing at each site, without the contexts below.
	Seconds []float64
	// Up and Down are the bytes of one migration, and Trips the round trips that
	// its imports take beside those of the migration itself.
	Up, Down, Trips float64
	Candidate       bool // it has a stub, so its calls may migrate
	Pinned          bool
	Group           int
}

// Offload is one migration of one call.
type Offload struct {
	Seconds         float64 // computing at the clone
	Up, Down, Trips float64
}

// Pricer knows what things cost on one network.
type Pricer interface {
	// Here is the cost of computing for so many seconds on the device.
	Here(seconds float64) Cost
	// Away is what the device pays while a clone computes for so long, without
	// what it pays for the migration.
	Away(seconds float64) Cost
	// Migration is the cost of one migration to a clone and back, on top of
	// Away; ok is false when there is no way to that clone.
	Migration(clone int, o Offload) (c Cost, ok bool)
}

// Price gives the tree of a profile on one network.
func Price(p *Profile, by Pricer) (*Tree, error) {
	t := &Tree{Sites: 1 + len(p.Clones), Nodes: make([]Node, len(p.Contexts))}
	below := make([]float64, len(p.Contexts)*t.Sites) // seconds of the whole subtree
	for i := len(p.Contexts) - 1; i >= 0; i-- {
		c := &p.Contexts[i]
		if len(c.Seconds) != t.Sites || c.Parent >= i || (c.Parent < 0) != (i == 0) {
			return nil, fmt.Errorf("price profile: context %d has parent %d and times for %d sites, want an earlier one and %d", i, c.Parent, len(c.Seconds), t.Sites)
		}
		sum := below[i*t.Sites : (i+1)*t.Sites]
		for s, seconds := range c.Seconds {
			sum[s] += seconds
			if i > 0 {
				below[c.Parent*t.Sites+s] += sum[s]
			}
		}
		t.Nodes[i] = c.node(by, sum)
	}
	if err := t.Validate(); err != nil {
		return nil, fmt.Errorf("price profile: %w", err)
	}
	return t, nil
}

// node prices a context whose subtree takes so many seconds at each site.
func (c *Context) node(by Pricer, below []float64) Node {
	n := Node{Parent: c.Parent, Func: c.Func, Pinned: c.Pinned, Group: c.Group, Own: make([]Cost, len(below))}
	n.Own[Device] = by.Here(c.Seconds[Device])
	for s := 1; s < len(below); s++ {
		n.Own[s] = by.Away(c.Seconds[s])
	}
	if !c.Candidate || c.Pinned || c.Calls <= 0 || len(below) == 1 {
		return n
	}
	move := make([]Cost, len(below))
	for s := 1; s < len(below); s++ {
		one, ok := by.Migration(s, Offload{Seconds: below[s] / c.Calls, Up: c.Up, Down: c.Down, Trips: c.Trips})
		if !ok {
			// No way there. A tree has one Move for all sites, so a cost that no
			// objective takes stands for "never".
			move[s] = Cost{never, never, 0}
			continue
		}
		move[s] = Cost{one.Seconds * c.Calls, one.Joules * c.Calls, one.Bytes * c.Calls}
		n.Move = move
	}
	return n
}

// never is a cost above that of any run: 30,000 years, in seconds.
const never = 1e12
