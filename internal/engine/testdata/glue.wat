;; Fills another module's exported table, as the rewriter's glue module does.
(module
  (import "main" "table" (table 4 funcref))
  (import "host" "call" (func $call (param i32) (result i32)))
  (func $triple (param i32) (result i32) local.get 0 i32.const 3 i32.mul)
  (elem (i32.const 2) $triple $call))
