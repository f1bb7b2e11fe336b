package device

import (
	"crypto/sha256"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"github.com/clonecloud/clonecloud/internal/relay"
	"github.com/clonecloud/clonecloud/internal/wire"
)

// sendModule sends chunks of a module, each when the one before is on its way.
func sendModule(out *relay.Outbox, run wire.ID, module []byte, chunks []uint32) error {
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
		err := out.Send(wire.Header{Type: wire.TypeModuleChunk, Run: run}, m, zw.EncodeAll(plain, nil))
		if err == nil {
			err = out.Wait()
		}
		if err != nil {
			return fmt.Errorf("send module: %w", err)
		}
	}
	return nil
}
