;; A module that uses the names that rewriting would take.
(module
  (func (export "cc.start") (result i32) i32.const 1)
  (func (export "cc1.x")))
