;; Computes for about as many seconds as the first byte of its argument says,
;; without a host call.
(module
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (local $n i64) (local $x i64)
    (drop (call $args_get (i32.const 64) (i32.const 128)))
    (local.set $n (i64.mul (i64.const 600000000) (i64.load8_u (i32.load (i32.const 68)))))
    (local.set $x (i64.const 88172645463325252))
    (loop $next
      (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 13))))
      (local.set $x (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 7))))
      (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 17))))
      (local.set $n (i64.sub (local.get $n) (i64.const 1)))
      (br_if $next (i64.ne (local.get $n) (i64.const 0))))
    (i64.store (i32.const 0) (local.get $x))))
