(module
  (type (;0;) (func (result i32)))
  (type (;1;) (func))
  (type (;2;) (func (param i32) (result i32 i32)))
  (type (;3;) (func (param i32)))
  (type (;4;) (func (param i32) (result i32)))
  (func (;0;) (type 0) (result i32)
    (local i32)
    global.get 0
    i64.const 1
    i64.and
    i64.eqz
    if  ;; label = @1
      call 2
      return
    end
    i32.const 0
    i32.const 0
    call_indirect (type 2)
    local.tee 0
    i32.eqz
    br_if 0 (;@0;)
    drop
    call 2
    local.get 0
    i32.const 2
    i32.eq
    if  ;; label = @1
      i32.const 0
      i32.const 2
      call_indirect (type 3)
    end)
  (func (;1;) (type 1)
    (local i32)
    global.get 0
    i64.const 2
    i64.and
    i64.eqz
    if  ;; label = @1
      call 3
      return
    end
    i32.const 1
    i32.const 1
    call_indirect (type 4)
    local.tee 0
    i32.eqz
    br_if 0 (;@0;)
    call 3
    local.get 0
    i32.const 2
    i32.eq
    if  ;; label = @1
      i32.const 1
      i32.const 2
      call_indirect (type 3)
    end)
  (func (;2;) (type 0) (result i32)
    i32.const 1)
  (func (;3;) (type 1))
  (table (;0;) 3 3 funcref)
  (global (;0;) (mut i64) (i64.const 0))
  (export "cc.start" (func 0))
  (export "cc1.x" (func 1))
  (export "cc2.mask0" (global 0))
  (export "cc2.tab" (table 0))
  (export "cc2.o0" (func 2))
  (export "cc2.o1" (func 3)))
