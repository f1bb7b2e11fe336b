;; _start is an export and must not run; the start section traps when asked to.
(module
  (import "host" "call" (func $call (param i32) (result i32)))
  (global (export "ran") (mut i32) (i32.const 0))
  (func (export "_start") i32.const 1 global.set 0)
  (func $start i32.const 0 call $call drop)
  (start $start))
