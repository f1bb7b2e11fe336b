package runner

import (
	"encoding/hex"
	"fmt"

	"github.com/clonecloud/clonecloud/internal/engine"
	"github.com/clonecloud/clonecloud/internal/offload"
	"github.com/clonecloud/clonecloud/internal/pagestate"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// imageName is the name under which a Space keeps an image of the protocol.
func imageName(i offload.Image) pagestate.Name {
	switch i.Kind {
	case offload.ModuleImage:
		return "module"
	case offload.EntryImage:
		return pagestate.Name(hex.EncodeToString(i.Attempt[:]) + ".entry")
	case offload.ResultImage:
		return pagestate.Name(hex.EncodeToString(i.Attempt[:]) + ".result")
	default:
		return ""
	}
}

// growMemory grows a guest's memory to size bytes through its engine.
func growMemory(g *guest, size uint64) error {
	m, ok := g.inst.Memory()
	if !ok {
		return fmt.Errorf("grow memory to %d bytes: the module has none", size)
	}
	have := uint64(m.Pages()) * engine.PageSize
	if size <= have {
		return nil
	}
	if size%engine.PageSize != 0 {
		return fmt.Errorf("grow memory to %d bytes: no whole number of pages", size)
	}
	if _, ok := m.Grow(uint32((size - have) / engine.PageSize)); !ok {
		return fmt.Errorf("grow memory to %d bytes: refused", size)
	}
	return nil
}

// hashBody lists the content of every page of memory, a zero page as zeros: the
// body of PageHashes.
func hashBody(hashes []pagestate.PageHash, size uint64) []byte {
	body := make([]byte, size/wire.PageSize*wire.PageHashSize)
	for _, h := range hashes {
		copy(body[uint64(h.Page)*wire.PageHashSize:], h.Sum[:])
	}
	return body
}

// pageHashes is the inverse of hashBody; a body that is cut off lists fewer.
func pageHashes(body []byte) []pagestate.PageHash {
	var out []pagestate.PageHash
	for page := 0; (page+1)*wire.PageHashSize <= len(body); page++ {
		sum := pagestate.Sum(body[page*wire.PageHashSize:])
		if sum != (pagestate.Sum{}) {
			out = append(out, pagestate.PageHash{Page: uint32(page), Sum: sum})
		}
	}
	return out
}

// runsOf turns ascending pages into first, count, first, count...
func runsOf(pages []uint32) []uint32 {
	var runs []uint32
	for _, p := range pages {
		if n := len(runs); n > 0 && runs[n-2]+runs[n-1] == p {
			runs[n-1]++
			continue
		}
		runs = append(runs, p, 1)
	}
	return runs
}

// pagesOf is the inverse of runsOf.
func pagesOf(runs []uint32) []uint32 {
	var pages []uint32
	for i := 0; i+1 < len(runs); i += 2 {
		for p := range runs[i+1] {
			pages = append(pages, runs[i]+p)
		}
	}
	return pages
}

// allPages is the run that covers a memory.
func allPages(size uint64) []uint32 {
	if n := uint32(size / wire.PageSize); n > 0 {
		return []uint32{0, n}
	}
	return nil
}
