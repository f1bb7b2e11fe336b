package wire

import (
	"fmt"

	"google.golang.org/protobuf/proto"
)

// Check holds a message against the limits that its type promises to
// whoever walks it: lengths of ids and hashes, counts, enums, sizes. A
// sender may call it too; [Frame.Message] always does.
func Check(m proto.Message) error {
	switch m := m.(type) {
	case *Hello:
		if m.Magic != Magic {
			return fmt.Errorf("magic %.20q, want %q", m.Magic, Magic)
		}
		if m.MinVersion == 0 || m.MinVersion > m.MaxVersion {
			return fmt.Errorf("versions %d to %d", m.MinVersion, m.MaxVersion)
		}
	case *RunOpen:
		return checkRunOpen(m)
	case *ModuleWant:
		return all(len(m.Chunks), func(i int) error {
			if m.Chunks[i] >= MaxModule/ChunkSize {
				return fmt.Errorf("chunk %d of at most %d", m.Chunks[i], MaxModule/ChunkSize)
			}
			return nil
		})
	case *ModuleChunk:
		if m.Index >= MaxModule/ChunkSize || m.Size == 0 || m.Size > ChunkSize {
			return fmt.Errorf("chunk %d of %d bytes", m.Index, m.Size)
		}
		return length("chunk hash", m.Sha256, 32)
	case *Call:
		return checkCall(m)
	case *PageHashes:
		if m.MemoryBytes > MaxMemory || m.MemoryBytes%PageSize != 0 {
			return fmt.Errorf("memory of %d bytes", m.MemoryBytes)
		}
	case *NeedPages:
		return checkRuns(m.Runs)
	case *ImportRequest:
		if m.Class != Class_CLASS_READ && m.Class != Class_CLASS_IMMEDIATE {
			return fmt.Errorf("class %v", m.Class)
		}
		return payload(m.Payload)
	case *ImportReply:
		return payload(m.Payload)
	case *Release:
		if err := checkBatch(m.First, m.Entries, m.Reads); err != nil {
			return err
		}
		return all(len(m.Entries), func(i int) error {
			if m.Entries[i].Class == Class_CLASS_FILE_CHANGE {
				return fmt.Errorf("entry %d is a file change in a Release", m.First+uint32(i))
			}
			return nil
		})
	case *Return:
		return checkReturn(m)
	}
	return nil
}

func checkRunOpen(m *RunOpen) error {
	if m.ModuleSize == 0 || m.ModuleSize > MaxModule {
		return fmt.Errorf("module of %d bytes, limit %d", m.ModuleSize, uint64(MaxModule))
	}
	if m.MemoryMaxPages > 1<<16 {
		return fmt.Errorf("memory maximum of %d pages", m.MemoryMaxPages)
	}
	return length("module hash", m.ModuleSha256, 32)
}

func checkCall(m *Call) error {
	if m.Base == nil {
		return fmt.Errorf("no base")
	}
	switch m.Base.Kind {
	case ImageKind_IMAGE_MODULE, ImageKind_IMAGE_HASHED:
		if len(m.Base.Attempt) != 0 {
			return fmt.Errorf("base %v names an attempt", m.Base.Kind)
		}
	case ImageKind_IMAGE_ENTRY, ImageKind_IMAGE_RESULT:
		if err := length("base's attempt", m.Base.Attempt, 16); err != nil {
			return err
		}
	default:
		return fmt.Errorf("base of kind %d", m.Base.Kind)
	}
	if m.MemoryMaxPages > 1<<16 {
		return fmt.Errorf("memory maximum of %d pages", m.MemoryMaxPages)
	}
	return length("seed", m.Seed, 32)
}

func checkRuns(runs []uint32) error {
	if len(runs)%2 != 0 {
		return fmt.Errorf("%d numbers are no runs", len(runs))
	}
	next := uint64(0)
	for i := 0; i < len(runs); i += 2 {
		first, count := uint64(runs[i]), uint64(runs[i+1])
		if first < next || count == 0 || first+count > MaxMemory/PageSize {
			return fmt.Errorf("run of %d pages at page %d", count, first)
		}
		next = first + count
	}
	return nil
}

func checkBatch(first uint32, entries []*Entry, reads [][]byte) error {
	if len(entries) > MaxBatch || len(reads) > MaxBatch {
		return fmt.Errorf("%d entries, %d reads, limit %d", len(entries), len(reads), MaxBatch)
	}
	if uint64(first)+uint64(len(entries)) > 1<<31 {
		return fmt.Errorf("entry numbers from %d", first)
	}
	for i, e := range entries {
		if err := checkEntry(e); err != nil {
			return fmt.Errorf("entry %d: %w", first+uint32(i), err)
		}
	}
	return all(len(reads), func(i int) error { return payload(reads[i]) })
}

func checkEntry(e *Entry) error {
	switch e.Class {
	case Class_CLASS_QUIET, Class_CLASS_READ, Class_CLASS_IMMEDIATE:
		if len(e.Effect) != 0 {
			return fmt.Errorf("%v with an effect", e.Class)
		}
	case Class_CLASS_OUTPUT, Class_CLASS_FILE_CHANGE:
	default:
		return fmt.Errorf("class %d", e.Class)
	}
	if err := payload(e.Effect); err != nil {
		return err
	}
	return payload(e.Encoded)
}

func checkReturn(m *Return) error {
	switch m.Outcome {
	case Outcome_OUTCOME_RETURNED, Outcome_OUTCOME_EXITED, Outcome_OUTCOME_ABORTED, Outcome_OUTCOME_TRAPPED:
	default:
		return fmt.Errorf("outcome %d", m.Outcome)
	}
	if len(m.Bare) > MaxBare {
		return fmt.Errorf("%d bare effects, limit %d", len(m.Bare), MaxBare)
	}
	if err := checkBatch(m.First, m.Entries, m.Reads); err != nil {
		return err
	}
	next := uint64(m.First) + uint64(len(m.Entries))
	for _, b := range m.Bare {
		if uint64(b.Entry) < next {
			return fmt.Errorf("bare effect of entry %d after entry %d", b.Entry, next)
		}
		next = uint64(b.Entry) + 1
		if b.Class != Class_CLASS_OUTPUT && b.Class != Class_CLASS_FILE_CHANGE {
			return fmt.Errorf("bare effect of class %v", b.Class)
		}
		if err := payload(b.Effect); err != nil {
			return err
		}
	}
	return nil
}

func payload(b []byte) error {
	if len(b) > MaxPayload {
		return fmt.Errorf("payload of %d bytes, limit %d", len(b), MaxPayload)
	}
	return nil
}

func length(what string, b []byte, want int) error {
	if len(b) != want {
		return fmt.Errorf("%s of %d bytes, want %d", what, len(b), want)
	}
	return nil
}

func all(n int, f func(i int) error) error {
	for i := range n {
		if err := f(i); err != nil {
			return err
		}
	}
	return nil
}
