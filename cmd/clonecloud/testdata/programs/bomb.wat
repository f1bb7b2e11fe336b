;; Takes all the memory there is, touches each 64 KiB of it, and says so.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "refused\n")
  (data (i32.const 0) "\10\00\00\00\08\00\00\00")
  (func $_start (export "_start") (local $p i32)
    (block $full
      (loop $more
        (local.set $p (memory.grow (i32.const 1)))
        (br_if $full (i32.eq (local.get $p) (i32.const -1)))
        (i32.store (i32.shl (local.get $p) (i32.const 16)) (i32.const 1))
        (br $more)))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
