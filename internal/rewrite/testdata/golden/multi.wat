;; Several results, a start function, an import, a table, every kind of number.
(module
  (import "env" "log" (func $log (param i32 i64)))
  (table 2 funcref)
  (elem (i32.const 0) $swap $log)
  (global (mut i64) (i64.const 0))
  (global (mut f64) (f64.const 0))
  (global i32 (i32.const 7))
  (func $swap (param i32 i64 f32 f64) (result f64 f32 i64 i32)
    local.get 3 local.get 2 local.get 1 local.get 0)
  (func $begin (global.set 0 (i64.const 42)) (call $log (i32.const 1) (i64.const 2)))
  (func (export "run") (param i32 i64 f32 f64) (result f64 f32 i64 i32)
    local.get 0 local.get 1 local.get 2 local.get 3
    i32.const 0
    call_indirect (param i32 i64 f32 f64) (result f64 f32 i64 i32))
  (start $begin))
