(module
  (type (;0;) (func (param i32) (result i32)))
  (func $twice (type 0) (param i32) (result i32)
    local.get 0
    local.get 0
    i32.add)
  (func (;1;) (type 0) (param i32) (result i32)
    local.get 0
    call $twice
    call $twice)
  (memory (;0;) 1)
  (global $g (mut i32) (i32.const 5))
  (export "memory" (memory 0))
  (export "twice" (func $twice))
  (export "quad" (func 1))
  (export "cc.mem" (memory 0))
  (export "cc.m0" (global $g))
  (export "cc.f0" (func $twice))
  (export "cc.f1" (func 1)))
