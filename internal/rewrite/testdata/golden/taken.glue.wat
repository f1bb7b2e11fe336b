(module
  (type (;0;) (func (param i32) (result i32 i32)))
  (type (;1;) (func (param i32) (result i32)))
  (type (;2;) (func (param i32)))
  (import "cc2" "s0" (func (;0;) (type 0)))
  (import "cc2" "s1" (func (;1;) (type 1)))
  (import "cc2" "exit" (func (;2;) (type 2)))
  (import "app" "cc2.tab" (table (;0;) 3 3 funcref))
  (elem (;0;) (i32.const 0) func 0 1 2))
