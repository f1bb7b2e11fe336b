;; $run calls $f as often as it is told; $trap calls it and then traps.
(module
  (memory (export "memory") 1)
  (func $f (export "f") (param i32) (result i32)
    (i32.add (local.get 0) (i32.const 1)))
  (func $run (export "run") (param i32)
    (loop $again
      (drop (call $f (local.get 0)))
      (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
      (br_if $again (local.get 0))))
  (func $trap (export "trap")
    (drop (call $f (i32.const 1)))
    unreachable))
