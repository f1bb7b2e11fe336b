(module
  (type (;0;) (func (param i64) (result i64)))
  (func $fac (type 0) (param i64) (result i64)
    local.get 0
    i64.eqz
    if (result i64)  ;; label = @1
      i64.const 1
    else
      local.get 0
      local.get 0
      i64.const 1
      i64.sub
      call $fac
      i64.mul
    end)
  (export "fac" (func $fac))
  (export "factorial" (func $fac))
  (export "cc.f0" (func $fac)))
