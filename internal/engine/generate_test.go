package engine_test

//go:generate sh testdata/build.sh
