;; One exported candidate with a parameter and a result, called from inside.
(module
  (memory (export "memory") 1)
  (global $g (mut i32) (i32.const 5))
  (func $twice (export "twice") (param i32) (result i32)
    (i32.add (local.get 0) (local.get 0)))
  (func (export "quad") (param i32) (result i32)
    (call $twice (call $twice (local.get 0)))))
