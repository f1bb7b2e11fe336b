package site

import "fmt"

// What follows lets an attempt be taken import by import: the import log keeps
// effects with the imports that did them, and reads with the time they were
// noted.

// TakeEntry removes and returns what was queued since the last call. File
// changes go on counting: an immediate effect after one ends the attempt.
func (s *Site) TakeEntry() []Effect {
	q := &s.log
	q.mu.Lock()
	defer q.mu.Unlock()
	list := q.list
	q.list = nil
	for i := range list {
		if list[i].Kind == EffectOutput {
			q.bytes -= min(q.bytes, uint64(len(list[i].Data))+entryOverhead)
		}
	}
	return list
}

// TakeReads removes and returns the reads noted since the last call. What was
// noted is not noted again until Settled.
func (s *Site) TakeReads() Reads {
	q := &s.log
	q.mu.Lock()
	defer q.mu.Unlock()
	r := q.reads
	q.reads = nil
	return r
}

// Settled says that all reads taken so far are being checked by the device:
// whoever looks again is noted again. It may be called from any goroutine.
func (s *Site) Settled() {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	s.log.gen++
}

// EncodeList encodes effects without the objects that they are about.
func EncodeList(list []Effect) []byte {
	w := encoder{}
	w.u(uint64(len(list)))
	for i := range list {
		w.effect(&list[i])
	}
	return w.b
}

// DecodeList reads what EncodeList wrote, from bytes that may be hostile;
// objects is how many objects the effects may be about.
func DecodeList(b []byte, objects int) ([]Effect, error) {
	d := decoder{b: b}
	var list []Effect
	for range d.count(MaxEffects, "effects") {
		list = append(list, d.effect(objects))
	}
	if err := d.done(); err != nil {
		return nil, fmt.Errorf("decode effects: %w", err)
	}
	return list, nil
}
