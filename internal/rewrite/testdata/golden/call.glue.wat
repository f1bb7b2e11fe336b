(module
  (type (;0;) (func (param i32 i32) (result i32 i32)))
  (type (;1;) (func (param i32)))
  (import "cc" "s0" (func (;0;) (type 0)))
  (import "cc" "exit" (func (;1;) (type 1)))
  (import "app" "cc.tab" (table (;0;) 2 2 funcref))
  (elem (;0;) (i32.const 0) func 0 1))
