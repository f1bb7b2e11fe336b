//go:build !linux

package stage

import "os"

// whereIs cannot tell here: a file that was moved while it is open is then
// changed by local runs only.
func whereIs(*os.File) string { return "" }
