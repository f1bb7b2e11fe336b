package profile

// An armed entry that stays costs two calls of the host, about a microsecond. So
// what bounds the cost of a profile is the rate of entries: it is looked at
// every window of them, and where it is too high the candidates that made the
// most of the window are disarmed. A function that is too short to be worth a
// look rests for a while, twice as long each time. One that recurs is disarmed
// until its outermost call leaves, which is the one of interest.

const (
	window    = 64
	firstRest = 500_000_000    // ns
	maxRest   = 64_000_000_000 // ns
	// worthwhile is how many times Config.Every an outermost call must take for
	// its function to be armed again at once.
	worthwhile = 20
)

// pace is the present window.
type pace struct {
	entries int
	start   int64
	due     int64 // the earliest end of a rest; 0: nobody rests
}

func newPace(now int64) pace { return pace{start: now} }

// rest is what is known of a candidate's disarming.
type rest struct {
	entries int // in the present window
	off     bool
	inside  bool  // until the outermost call leaves
	until   int64 // when not inside
	last    int64 // how long the last rest was
}

func (c *Collector) entered(k int, now int64) {
	c.cands[k].entries++
	c.pace.entries++
	if c.pace.entries >= window {
		c.judge(now)
	}
	c.Due(now)
}

// judge ends a window.
func (c *Collector) judge(now int64) {
	most := 0
	for i := range c.cands {
		most = max(most, c.cands[i].entries)
	}
	busy := now-c.pace.start < window*c.conf.Every
	for i := range c.cands {
		r := &c.cands[i].rest
		if busy && r.entries*2 > most && !r.off {
			c.disarm(i, now)
		}
		r.entries = 0
	}
	c.pace.entries, c.pace.start = 0, now
}

func (c *Collector) disarm(k int, now int64) {
	cd := &c.cands[k]
	c.nodes[cd.home].Rested++
	cd.off = true
	c.conf.Arm(k, false)
	if cd.active > 1 {
		cd.inside = true
		return
	}
	c.rest(cd, now)
}

// rest leaves a candidate alone, for longer than the last time.
func (c *Collector) rest(cd *cand, now int64) {
	cd.inside = false
	cd.last = min(max(2*cd.last, firstRest), maxRest)
	cd.until = now + cd.last
	if c.pace.due == 0 || cd.until < c.pace.due {
		c.pace.due = cd.until
	}
}

// left ends the rest of a function that recurs, with its outermost call.
func (c *Collector) left(k int, took, now int64) {
	cd := &c.cands[k]
	if cd.inside && cd.active == 0 {
		if took >= worthwhile*c.conf.Every {
			cd.off, cd.inside = false, false
			c.conf.Arm(k, true)
		} else {
			c.rest(cd, now)
		}
	}
	c.Due(now)
}

// Due arms the functions whose rest is over. It is for moments at which the
// clock has been read for another reason.
func (c *Collector) Due(now int64) {
	if c.pace.due == 0 || now < c.pace.due {
		return
	}
	c.pace.due = 0
	for i := range c.cands {
		r := &c.cands[i].rest
		switch {
		case !r.off || r.inside:
		case r.until <= now:
			r.off = false
			c.conf.Arm(i, true)
		case c.pace.due == 0 || r.until < c.pace.due:
			c.pace.due = r.until
		}
	}
}
