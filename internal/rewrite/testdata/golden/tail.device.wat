(module
  (type (;0;) (func (param i64) (result i64)))
  (type (;1;) (func (param i64 i32) (result i64 i32)))
  (type (;2;) (func (param i32)))
  (func $count (type 0) (param i64) (result i64)
    local.get 0
    i64.eqz
    if (result i64)  ;; label = @1
      i64.const 7
    else
      local.get 0
      i64.const 1
      i64.sub
      return_call $count
    end)
  (func $count.cc_stub (type 0) (param i64) (result i64)
    (local i32)
    global.get 0
    i64.const 1
    i64.and
    i64.eqz
    if  ;; label = @1
      local.get 0
      call $count
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
    call $count
    local.get 1
    i32.const 2
    i32.eq
    if  ;; label = @1
      i32.const 0
      i32.const 1
      call_indirect (type 2)
    end)
  (table (;0;) 2 2 funcref)
  (global (;0;) (mut i64) (i64.const 0))
  (export "count" (func $count.cc_stub))
  (export "cc.mask0" (global 0))
  (export "cc.tab" (table 0))
  (export "cc.o0" (func $count)))
