(module
  (type (;0;) (func (param i64) (result i64)))
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
  (export "count" (func $count))
  (export "cc.f0" (func $count)))
