(module
  (type (;0;) (func (param f32) (result f32)))
  (import "env" "f" (func (;0;) (type 0)))
  (import "env" "g" (global (;0;) i32)))
