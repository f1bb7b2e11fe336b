package site

import (
	"cmp"
	"slices"
	"sync"

	"github.com/clonecloud/clonecloud/internal/wasi"
)

// queue is what the attempt did, in program order, and what it looked at. A
// flusher may take released output while the guest runs, so it is the one
// part of a Site with a lock.
type queue struct {
	objects []Object // the guest's goroutine only

	mu      sync.Mutex
	list    []Effect
	changes int // effects in list that are not output
	bytes   uint64
	limit   uint64
	reads   Reads
	gen     uint64 // how often reads was taken, plus one
}

// entryOverhead approximates what an effect takes beside its bytes.
const entryOverhead = 128

// add queues x; x.Data is copied.
func (q *queue) add(x Effect) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if x.Kind == EffectWrite && len(q.list) > 0 {
		// Adjacent writes of one file are one effect: programs write in
		// small pieces.
		if last := &q.list[len(q.list)-1]; last.Kind == EffectWrite && last.Object == x.Object &&
			last.Offset+uint64(len(last.Data)) == x.Offset {
			q.charge(uint64(len(x.Data)))
			last.Data = append(last.Data, x.Data...)
			return
		}
	}
	q.charge(uint64(len(x.Data)+len(x.Name)+len(x.Name2)+len(x.Target)) + entryOverhead)
	if len(q.list) >= MaxEffects {
		abort("too many effects")
	}
	x.Data = slices.Clone(x.Data)
	q.list = append(q.list, x)
	if x.Kind != EffectOutput {
		q.changes++
	}
}

// charge takes n bytes from the overlay's budget. The lock is held.
func (q *queue) charge(n uint64) {
	if n > q.limit-min(q.limit, q.bytes) {
		abort("overlay limit")
	}
	q.bytes += n
}

// spend is charge for content that is not in the list.
func (q *queue) spend(n uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.charge(n)
}

// refund gives n bytes back.
func (q *queue) refund(n uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytes -= min(n, q.bytes)
}

func (q *queue) hasChanges() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.changes > 0
}

func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.list) == 0
}

// note adds r unless it is in the set already, which *seen tells: the
// generation in which it was last added.
func (q *queue) note(seen *uint64, r func() Read) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if *seen == q.gen+1 {
		return
	}
	*seen = q.gen + 1
	if len(q.reads) >= MaxReads {
		abort("too many reads")
	}
	q.reads = append(q.reads, r())
}

func (q *queue) takeOutput(max int, always bool) (Batch, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, size := 0, 0
	for n < len(q.list) && q.list[n].Kind == EffectOutput && (n == 0 || len(q.list[n].Data) <= max-size) {
		size += len(q.list[n].Data)
		n++
	}
	if n == 0 && !always {
		return Batch{}, false
	}
	b := Batch{Output: slices.Clone(q.list[:n]), Reads: q.reads}
	q.list = slices.Delete(q.list, 0, n)
	q.bytes -= min(q.bytes, uint64(size+n*entryOverhead))
	q.reads = nil
	q.gen++
	return b, true
}

func (q *queue) takeAll() ([]Effect, Reads) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l, r := q.list, q.reads
	q.list, q.reads, q.changes = nil, nil, 0
	q.gen++
	return l, r
}

func sortOpens(os []Open) {
	slices.SortFunc(os, func(a, b Open) int { return cmp.Compare(a.Handle, b.Handle) })
}

// object returns n's index among the objects of the log.
func (s *Site) object(n *node) int {
	if n.object == 0 {
		if len(s.log.objects) >= MaxObjects {
			abort("too many objects")
		}
		s.log.spend(entryOverhead)
		o := Object{New: n.base == nil, Type: n.typ}
		if n.base != nil {
			o.Handle, o.Path, o.ID = n.base.root, n.base.path, n.base.id
		}
		s.log.objects = append(s.log.objects, o)
		n.object = len(s.log.objects)
	}
	return n.object - 1
}

// output queues data for one of the standard streams.
func (s *Site) output(stream wasi.Handle, data []byte) {
	s.log.add(Effect{Kind: EffectOutput, Stream: uint8(stream), Entry: s.entry, Data: data})
}
