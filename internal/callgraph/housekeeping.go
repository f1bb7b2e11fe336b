package callgraph

import "strings"

// This file knows libraries by name, where a module has names. A name is
// decoration and never decides what may move; it corrects estimates that
// structure gets wrong. The loops of malloc, memcpy or printf promise work that
// one call rarely does, and programs call them all the time.

// kind says what a function's name tells.
type kind int

const (
	ordinary kind = iota
	// housekeeping is a library function that one call of which does little: it
	// is never stubbed by estimate and counts as little work to its callers.
	housekeeping
	// library is a package of Go's standard library that can do real work
	// (decoding an image, compressing): stubbed only for a lot of it.
	library
)

// workOf bounds the estimated work of one call by kind.
func (k kind) workOf(w float64) float64 {
	if k == housekeeping {
		return min(w, 300)
	}
	return w
}

// kindOf judges a name. In a Go module every function has a package.
func kindOf(name string, goModule bool) kind {
	if goModule {
		return goKind(name)
	}
	bare := strings.TrimLeft(name, "_")
	if strings.HasPrefix(name, "std::") || strings.Contains(name, " std::") {
		return housekeeping // a demangled template of the C++ library
	}
	if housekeepingNames[bare] {
		return housekeeping
	}
	for _, p := range housekeepingPrefixes {
		if strings.HasPrefix(bare, p) {
			return housekeeping
		}
	}
	return ordinary
}

var housekeepingPrefixes = []string{
	"dlmalloc", "dlfree", "dlrealloc", "dlcalloc", "emmalloc", "emscripten_", "wasilibc_", "wasi_",
	"asyncify_", "~lib/rt/", "~lib/util/", "operator new", "operator delete",
	"Znwm", "Znam", "ZdlPv", "ZdaPv", "ZNSt", "ZNKSt",
}

var housekeepingNames = func() map[string]bool {
	m := map[string]bool{}
	for n := range strings.FieldsSeq(`
		malloc free realloc calloc aligned_alloc posix_memalign memalign sbrk dispose_chunk prepend_alloc
		memcpy memmove memset memchr memcmp memrchr bcmp strlen strcmp strncmp strcpy strncpy stpcpy stpncpy
		strcat strncat strchr strrchr strchrnul strstr strdup strtol strtoul strtod strtok atoi atof
		printf fprintf sprintf snprintf vprintf vfprintf vsprintf vsnprintf printf_core fmt_fp pop_arg pad
		scanf fscanf sscanf vscanf vfscanf vsscanf intscan floatscan scanexp hexfloat rem_pio2 rem_pio2_large
		fdopen main_void puts fputs fputc putc putchar fwrite fwritex fread fflush fclose fopen fgets getc fgetc
		stdio_write stdio_read stdio_seek towrite toread overflow uflow sn_write
		wctomb wcrtomb mbtowc mbrtowc frexp scalbn fmod pow exp log sin cos tan floor ceil sqrt
		multi3 udivti3 umodti3 divti3 modti3 addtf3 subtf3 multf3 divtf3 lock unlock lockfile unlockfile
		__wasm_call_ctors wasm_call_ctors abort exit`) {
		m[n] = true
	}
	return m
}()

// goKind judges a Go function's name: the linker writes encoding/json.Unmarshal
// as encoding_json.Unmarshal and (*T).M as __T_.M.
func goKind(name string) kind {
	top := name
	if i := strings.IndexAny(name, "._"); i >= 0 {
		top = name[:i]
	}
	switch {
	case name == "" || !strings.Contains(name, "."):
		return housekeeping // assembly: memeqbody, wasm_pc_f_loop
	case goWorkers[top]:
		if strings.Contains(name, ".func") || strings.HasPrefix(name, "encoding_binary") {
			return housekeeping
		}
		return library
	case goStandard[top]:
		return housekeeping
	}
	return ordinary
}

// exportedGo says whether a Go function's name is exported from its package.
func exportedGo(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	return last != "" && last[0] >= 'A' && last[0] <= 'Z'
}

var goWorkers, goStandard = set("archive compress crypto encoding go hash html image index regexp text"),
	set(`bufio bytes cmp container context database debug embed errors expvar flag fmt internal io iter
		log maps math mime net os path plugin reflect runtime slices sort strconv strings structs sync
		syscall testing time type unicode unique unsafe vendor weak`)

func set(names string) map[string]bool {
	m := map[string]bool{}
	for n := range strings.FieldsSeq(names) {
		m[n] = true
	}
	return m
}
