;; Uses another module's memory.
(module
  (import "main" "memory" (memory 1 8))
  (func (export "load") (param i32) (result i32) local.get 0 i32.load))
