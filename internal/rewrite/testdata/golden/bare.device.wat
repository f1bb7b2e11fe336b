(module
  (type (;0;) (func (param f32) (result f32)))
  (import "env" "f" (func (;0;) (type 0)))
  (import "env" "g" (global (;0;) i32))
  (func (;1;) (type 0) (param f32) (result f32)
    local.get 0
    call 0)
  (export "cc.i0" (func 1)))
