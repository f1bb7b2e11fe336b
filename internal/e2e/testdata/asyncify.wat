;; What asyncify makes of a program, by hand: $work unwinds twice in the middle of
;; its work, and $step inside of it with it. asyncify keeps its state in a global:
;; 0 runs, 1 unwinds, 2 rewinds.
(module
  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
  (global $other (mut i32) (i32.const 7))
  (global $state (mut i32) (i32.const 0))
  (global $data (mut i32) (i32.const 0))
  (global $left (mut i32) (i32.const 2))
  (memory (export "memory") 1)
  (func $unwind (export "asyncify_start_unwind") (param i32)
    (global.set $state (i32.const 1))
    (global.set $data (local.get 0)))
  (func $rewind (export "asyncify_start_rewind") (param i32)
    (global.set $state (i32.const 2))
    (global.set $data (local.get 0)))
  (func $stop (export "asyncify_stop_unwind")
    (global.set $state (i32.const 0)))
  (func $spin (param i32)
    (loop $again
      (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
      (br_if $again (local.get 0))))
  ;; Computes, and asks for an unwinding while there are some left.
  (func $step (export "step") (param i32) (result i32)
    (if (i32.eq (global.get $state) (i32.const 2))
      (then (global.set $state (i32.const 0))))
    (call $spin (i32.const 1000000))
    (if (global.get $left)
      (then
        (global.set $left (i32.sub (global.get $left) (i32.const 1)))
        (call $unwind (i32.const 16))))
    (local.get 0))
  (func $work (export "work") (param i32) (result i32)
    (call $spin (i32.const 2000000))
    (call $step (local.get 0)))
  (func (export "_start")
    (drop (call $work (i32.const 5)))
    (block $done
      (loop $again
        (br_if $done (i32.ne (global.get $state) (i32.const 1)))
        (call $stop)
        (drop (call $yield))
        (call $rewind (i32.const 16))
        (drop (call $work (i32.const 5)))
        (br $again)))))
