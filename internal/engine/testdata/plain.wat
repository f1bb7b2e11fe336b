;; A start export alone.
(module
  (global (export "ran") (mut i32) (i32.const 0))
  (func (export "_start") i32.const 1 global.set 0)
  (func (export "_initialize") i32.const 2 global.set 0))
