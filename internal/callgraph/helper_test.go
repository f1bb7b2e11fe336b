package callgraph_test

import (
	"errors"

	"github.com/clonecloud/clonecloud/internal/wasmbin"
)

// feature gives the proposal that an error names, "" when it names none.
func feature(err error) string {
	if e := (*wasmbin.Error)(nil); errors.As(err, &e) {
		return e.Feature
	}
	return ""
}
