(module
  (type (;0;) (func (param i32 i64 f32 f64 i32) (result f64 f32 i64 i32 i32)))
  (type (;1;) (func (param i32) (result i32)))
  (type (;2;) (func (param i32)))
  (import "cc" "s0" (func (;0;) (type 0)))
  (import "cc" "s1" (func (;1;) (type 1)))
  (import "cc" "exit" (func (;2;) (type 2)))
  (import "app" "cc.tab" (table (;0;) 3 3 funcref))
  (elem (;0;) (i32.const 0) func 0 1 2))
