package callgraph

import "testing"

func TestNamesTellHousekeepingFromWork(t *testing.T) {
	for _, tc := range []struct {
		name     string
		goModule bool
		want     kind
	}{
		{"dlmalloc", false, housekeeping},
		{"__stdio_write", false, housekeeping},
		{"memcpy", false, housekeeping},
		{"memoize", false, ordinary},
		{"strassen", false, ordinary},
		{"bool std::__2::__insertion_sort_incomplete<int*>(int*)", false, housekeeping},
		{"~lib/rt/itcms/__new", false, housekeeping},
		{"sudoku/Grid#solve", false, ordinary},
		{"main.main", true, ordinary},
		{"github.com_me_app_nn.__Conv_.Apply", true, ordinary},
		{"runtime.mallocgc", true, housekeeping},
		{"fmt.__pp_.doPrintf", true, housekeeping},
		{"image_jpeg.Decode", true, library},
		{"compress_gzip.NewWriter.func1", true, housekeeping},
		{"memeqbody", true, housekeeping},
	} {
		if got := kindOf(tc.name, tc.goModule); got != tc.want {
			t.Errorf("%s: kind %d, want %d", tc.name, got, tc.want)
		}
	}
	if !exportedGo("image_jpeg.Decode") || exportedGo("image_jpeg.__decoder_.decode") {
		t.Error("exported Go names are not told apart")
	}
}
