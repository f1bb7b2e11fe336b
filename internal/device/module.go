package device

import (
	"crypto/sha256"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"github.com/clonecloud/clonecloud/internal/wire"
)

// sendModule sends chunks of a module.
func sendModule(w *wire.Writer, run wire.ID, module []byte, chunks []uint32) error {
	zw, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return fmt.Errorf("send module: %w", err)
	}
	defer zw.Close()
	for _, i := range chunks {
		at := uint64(i) * wire.ChunkSize
		if at >= uint64(len(module)) {
			return fmt.Errorf("send module: the node asks for chunk %d of %d bytes", i, len(module))
		}
		plain := module[at:min(at+wire.ChunkSize, uint64(len(module)))]
		sum := sha256.Sum256(plain)
		m := &wire.ModuleChunk{Index: i, Size: uint32(len(plain)), Sha256: sum[:]}
		if err := w.Send(wire.Header{Type: wire.TypeModuleChunk, Run: run}, m, zw.EncodeAll(plain, nil)); err != nil {
			return fmt.Errorf("send module: %w", err)
		}
	}
	return nil
}
