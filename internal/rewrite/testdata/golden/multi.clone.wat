(module
  (type (;0;) (func (param i32 i64)))
  (type (;1;) (func (param i32 i64 f32 f64) (result f64 f32 i64 i32)))
  (type (;2;) (func))
  (import "env" "log" (func $log (type 0)))
  (func $swap (type 1) (param i32 i64 f32 f64) (result f64 f32 i64 i32)
    local.get 3
    local.get 2
    local.get 1
    local.get 0)
  (func $begin (type 2)
    i64.const 42
    global.set 0
    i32.const 1
    i64.const 2
    call $log)
  (func (;3;) (type 1) (param i32 i64 f32 f64) (result f64 f32 i64 i32)
    local.get 0
    local.get 1
    local.get 2
    local.get 3
    i32.const 0
    call_indirect (type 1))
  (table (;0;) 2 funcref)
  (global (;0;) (mut i64) (i64.const 0))
  (global (;1;) (mut f64) (f64.const 0x0p+0 (;=0;)))
  (global (;2;) i32 (i32.const 7))
  (export "run" (func 3))
  (export "cc.m0" (global 0))
  (export "cc.m1" (global 1))
  (export "cc.start" (func $begin))
  (export "cc.f1" (func $swap))
  (export "cc.f2" (func $begin))
  (export "cc.f3" (func 3))
  (elem (;0;) (i32.const 0) func $swap $log))
