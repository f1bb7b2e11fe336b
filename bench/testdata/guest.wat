;; A program that offloads on command. Standard input holds commands of 16
;; bytes: how many calls, how many pages the device dirties before each, how
;; many pages the call dirties, and a mask: dirtied words are noise AND mask.
;; A command of no calls only fills memory.
(module
  (import "wasi_snapshot_preview1" "fd_read"
    (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 256)
  (global $x (mut i64) (i64.const 0x9E3779B97F4A7C15))
  (data (i32.const 0) "\10\00\00\00\10\00\00\00") ;; one buffer: at 16, 16 bytes

  ;; Make sure that memory reaches end.
  (func $reach (param $end i32)
    (local $pages i32)
    (local.set $pages (i32.shr_u (i32.add (local.get $end) (i32.const 65535)) (i32.const 16)))
    (if (i32.gt_u (local.get $pages) (memory.size))
      (then (drop (memory.grow (i32.sub (local.get $pages) (memory.size)))))))

  (func $noise (param $at i32) (param $bytes i32) (param $mask i64)
    (local $end i32) (local $x i64)
    (local.set $end (i32.add (local.get $at) (local.get $bytes)))
    (local.set $x (global.get $x))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 13))))
        (local.set $x (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 7))))
        (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 17))))
        (i64.store (local.get $at) (i64.and (local.get $x) (local.get $mask)))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br $next)))
    (global.set $x (local.get $x)))

  ;; What moves: dirty some pages from 8 MiB on, and return a word of what the
  ;; device has written.
  (func $work (export "work") (param $pages i32) (param $mask i64) (result i64)
    (call $noise (i32.const 0x800000) (i32.mul (local.get $pages) (i32.const 4096)) (local.get $mask))
    (i64.load (i32.const 0x100000)))

  (func (export "_start")
    (local $calls i32) (local $up i32) (local $down i32) (local $mask i64)
    (loop $command
      (if (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)) (then (return)))
      (if (i32.ne (i32.load (i32.const 8)) (i32.const 16)) (then (return)))
      (local.set $calls (i32.load (i32.const 16)))
      (local.set $up (i32.mul (i32.load (i32.const 20)) (i32.const 4096)))
      (local.set $down (i32.load16_u (i32.const 24)))
      (local.set $mask (i64.extend_i32_u (i32.load (i32.const 28))))
      (local.set $mask (i64.or (local.get $mask) (i64.shl (local.get $mask) (i64.const 32))))
      (call $reach (i32.add (i32.const 0x100000) (local.get $up)))
      (call $reach (i32.add (i32.const 0x800000) (i32.mul (local.get $down) (i32.const 4096))))
      (if (i32.eqz (local.get $calls))
        (then (call $noise (i32.const 0x100000) (local.get $up) (local.get $mask)) (br $command)))
      (loop $call
        (call $noise (i32.const 0x100000) (local.get $up) (local.get $mask))
        (if (i64.ne (call $work (local.get $down) (local.get $mask)) (i64.load (i32.const 0x100000)))
          (then (unreachable)))
        (local.set $calls (i32.sub (local.get $calls) (i32.const 1)))
        (br_if $call (local.get $calls)))
      (br $command))))
