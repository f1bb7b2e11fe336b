;; Imports what nothing here provides.
(module
  (import "env" "emscripten_notify_memory_growth" (func (param i32)))
  (import "wasi_snapshot_preview1" "sock_open" (func (param i32) (result i32)))
  (import "camera" "take_picture" (func (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")))
