(module
  (import "env" "offload" (func $offload (param i32) (result i32)))
  (memory (export "memory") 2 40)
  (data (i32.const 100) "CloneCloud")
  (func $heavy (export "heavy") (param $n i32) (result i32)
    (local $i i32)
    (drop (memory.grow (i32.const 3)))
    (loop $l
      (i32.store
        (i32.mul (local.get $i) (i32.const 5000))
        (i32.add (i32.load (i32.mul (local.get $i) (i32.const 3000))) (i32.add (local.get $n) (local.get $i))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $l (i32.lt_u (local.get $i) (i32.const 60))))
    (i32.store (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 4)) (local.get $n))
    (memory.size))
  (func (export "work") (param $n i32) (result i32)
    (local $r i32)
    (i32.store (i32.const 70000) (local.get $n))
    ;; the host answers -1: run it here
    (local.set $r (call $offload (local.get $n)))
    (if (i32.eq (local.get $r) (i32.const -1)) (then (local.set $r (call $heavy (local.get $n)))))
    ;; the last page is there for us
    (i32.store (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 8)) (local.get $r))
    (i32.add (local.get $r) (i32.load (i32.const 5000)))))
