// Package wasmbin reads the WebAssembly binary format as far as CloneCloud
// needs it: it finds the sections of a module, decodes the small ones (types,
// imports, function types, tables, memories, globals, exports, elements), notes
// where every function body begins and ends, and scans bodies without changing
// them. Nothing here encodes, validates types or executes: the engine does.
//
// What it promises to the rewriter is narrower than validation, and exact: a
// module that Parse and Scan accept stays valid, or stays invalid, when types,
// tables, globals, functions and exports are appended to its index spaces. For
// that every index in the module is compared with the size of its space before
// anything was appended, and every ref.func with the set of declared functions;
// otherwise an invalid `call 7` would become valid because something was
// appended at index 7.
//
// The accepted language is WebAssembly 2.0 (bulk memory, reference types, SIMD,
// multi-value, sign extension, saturating conversions) with tail calls. Every
// other proposal is refused by name: errors.As to *Error gives the Feature.
//
// Input is hostile. Limits bound everything that is counted, no allocation is
// larger than a small multiple of the bytes that are really there, and errors
// carry the offset and the section where reading stopped.
//
// The package imports nothing of ours.
package wasmbin
