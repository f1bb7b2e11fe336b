(module
  (type (;0;) (func (param i32) (result i32)))
  (type (;1;) (func (param i32 i32) (result i32 i32)))
  (type (;2;) (func (param i32)))
  (func $twice (type 0) (param i32) (result i32)
    (local i32)
    global.get 1
    i64.const 1
    i64.and
    i64.eqz
    if  ;; label = @1
      local.get 0
      call $twice.cc_orig
      return
    end
    local.get 0
    i32.const 0
    i32.const 0
    call_indirect (type 1)
    local.tee 1
    i32.eqz
    br_if 0 (;@0;)
    drop
    local.get 0
    call $twice.cc_orig
    local.get 1
    i32.const 2
    i32.eq
    if  ;; label = @1
      i32.const 0
      i32.const 1
      call_indirect (type 2)
    end)
  (func (;1;) (type 0) (param i32) (result i32)
    (local i32)
    global.get 1
    i64.const 2
    i64.and
    i64.eqz
    if  ;; label = @1
      local.get 0
      call 3
      return
    end
    local.get 0
    i32.const 1
    i32.const 0
    call_indirect (type 1)
    local.tee 1
    i32.eqz
    br_if 0 (;@0;)
    drop
    local.get 0
    call 3
    local.get 1
    i32.const 2
    i32.eq
    if  ;; label = @1
      i32.const 1
      i32.const 1
      call_indirect (type 2)
    end)
  (func $twice.cc_orig (type 0) (param i32) (result i32)
    local.get 0
    local.get 0
    i32.add)
  (func (;3;) (type 0) (param i32) (result i32)
    local.get 0
    call $twice
    call $twice)
  (table (;0;) 2 2 funcref)
  (memory (;0;) 1)
  (global $g (mut i32) (i32.const 5))
  (global (;1;) (mut i64) (i64.const 0))
  (export "memory" (memory 0))
  (export "twice" (func $twice))
  (export "quad" (func 1))
  (export "cc.mem" (memory 0))
  (export "cc.m0" (global $g))
  (export "cc.mask0" (global 1))
  (export "cc.tab" (table 0))
  (export "cc.o0" (func $twice.cc_orig))
  (export "cc.o1" (func 3)))
