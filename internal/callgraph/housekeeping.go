package callgraph

import "strings"

// housekeeping says whether a name is that of a library function which programs
// call all the time and which does little: its loops promise work that one call
// rarely does. A module without names is judged by structure alone.
func housekeeping(name string) bool {
	name = strings.TrimLeft(name, "_")
	for _, p := range housekeepingPrefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return housekeepingNames[name]
}

var housekeepingPrefixes = []string{
	"dlmalloc", "dlfree", "dlrealloc", "dlcalloc", "dlmemalign", "dispose_chunk", "prepend_alloc",
	"mem", "str", "wcs", "emmalloc", "emscripten_", "wasi_", "wasm_", "asyncify",
	"lock", "unlock", "fwritex", "stdio", "towrite", "toread", "~lib/rt/", "operator new", "operator delete",
	"Znwm", "Znam", "ZdlPv", "ZdaPv", "ZNSt", "ZNKSt", "ZSt",
}

var housekeepingNames = map[string]bool{
	"malloc": true, "free": true, "realloc": true, "calloc": true, "aligned_alloc": true,
	"sbrk": true, "abort": true, "fflush": true, "fputc": true, "putc": true, "fputs": true,
	"fwrite": true, "fread": true, "frexp": true, "scalbn": true, "fmod": true, "pow": true,
}
