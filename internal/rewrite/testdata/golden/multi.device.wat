(module
  (type (;0;) (func (param i32 i64)))
  (type (;1;) (func (param i32 i64 f32 f64) (result f64 f32 i64 i32)))
  (type (;2;) (func))
  (type (;3;) (func (param i32 i64 f32 f64 i32) (result f64 f32 i64 i32 i32)))
  (type (;4;) (func (param i32)))
  (type (;5;) (func (param i32) (result i32)))
  (import "env" "log" (func $log (type 0)))
  (func $swap (type 1) (param i32 i64 f32 f64) (result f64 f32 i64 i32)
    (local i32)
    global.get 3
    i64.const 1
    i64.and
    i64.eqz
    if  ;; label = @1
      local.get 0
      local.get 1
      local.get 2
      local.get 3
      call $swap.cc_orig
      return
    end
    local.get 0
    local.get 1
    local.get 2
    local.get 3
    i32.const 0
    i32.const 0
    call_indirect 1 (type 3)
    local.tee 4
    i32.eqz
    br_if 0 (;@0;)
    drop
    drop
    drop
    drop
    local.get 0
    local.get 1
    local.get 2
    local.get 3
    call $swap.cc_orig
    local.get 4
    i32.const 2
    i32.eq
    if  ;; label = @1
      i32.const 0
      i32.const 2
      call_indirect 1 (type 4)
    end)
  (func $begin (type 2)
    (local i32)
    global.get 3
    i64.const 2
    i64.and
    i64.eqz
    if  ;; label = @1
      call $begin.cc_orig
      return
    end
    i32.const 1
    i32.const 1
    call_indirect 1 (type 5)
    local.tee 0
    i32.eqz
    br_if 0 (;@0;)
    call $begin.cc_orig
    local.get 0
    i32.const 2
    i32.eq
    if  ;; label = @1
      i32.const 1
      i32.const 2
      call_indirect 1 (type 4)
    end)
  (func (;3;) (type 1) (param i32 i64 f32 f64) (result f64 f32 i64 i32)
    (local i32)
    global.get 3
    i64.const 4
    i64.and
    i64.eqz
    if  ;; label = @1
      local.get 0
      local.get 1
      local.get 2
      local.get 3
      call 7
      return
    end
    local.get 0
    local.get 1
    local.get 2
    local.get 3
    i32.const 2
    i32.const 0
    call_indirect 1 (type 3)
    local.tee 4
    i32.eqz
    br_if 0 (;@0;)
    drop
    drop
    drop
    drop
    local.get 0
    local.get 1
    local.get 2
    local.get 3
    call 7
    local.get 4
    i32.const 2
    i32.eq
    if  ;; label = @1
      i32.const 2
      i32.const 2
      call_indirect 1 (type 4)
    end)
  (func $log.cc_import (type 0) (param i32 i64)
    local.get 0
    local.get 1
    call $log)
  (func $swap.cc_orig (type 1) (param i32 i64 f32 f64) (result f64 f32 i64 i32)
    local.get 3
    local.get 2
    local.get 1
    local.get 0)
  (func $begin.cc_orig (type 2)
    i64.const 42
    global.set 0
    i32.const 1
    i64.const 2
    call $log)
  (func (;7;) (type 1) (param i32 i64 f32 f64) (result f64 f32 i64 i32)
    local.get 0
    local.get 1
    local.get 2
    local.get 3
    i32.const 0
    call_indirect (type 1))
  (table (;0;) 2 funcref)
  (table (;1;) 3 3 funcref)
  (global (;0;) (mut i64) (i64.const 0))
  (global (;1;) (mut f64) (f64.const 0x0p+0 (;=0;)))
  (global (;2;) i32 (i32.const 7))
  (global (;3;) (mut i64) (i64.const 0))
  (export "run" (func 3))
  (export "cc.m0" (global 0))
  (export "cc.m1" (global 1))
  (export "cc.start" (func $begin))
  (export "cc.i0" (func $log.cc_import))
  (export "cc.mask0" (global 3))
  (export "cc.tab" (table 1))
  (export "cc.o0" (func $swap.cc_orig))
  (export "cc.o1" (func $begin.cc_orig))
  (export "cc.o2" (func 7))
  (elem (;0;) (i32.const 0) func $swap $log))
