;; The module that the conformance suite runs in each engine.
(module
  (type $i_i (func (param i32) (result i32)))
  (type $v_v (func))
  (import "host" "add" (func $add (param i32 i64) (result i64)))
  (import "host" "call" (func $call (param i32) (result i32)))
  (import "host" "two" (func $two (result f32 f64)))
  (memory (export "memory") 1 8)
  (table $t (export "table") 4 8 funcref)
  (global $counter (export "counter") (mut i64) (i64.const 7))
  (global $ratio (export "ratio") (mut f64) (f64.const 0.5))
  (global (export "limit") i32 (i32.const 99))
  (data (i32.const 16) "clone")
  (elem (i32.const 0) $double)

  (func $double (type $i_i) local.get 0 i32.const 2 i32.mul)

  (func (export "add") (param i32 i64) (result i64) local.get 0 local.get 1 call $add)
  (func (export "two") (result f64) (local f32)
    call $two
    drop local.set 0
    local.get 0 f64.promote_f32)
  (func (export "multi") (param i32) (result i32 i64 f64)
    local.get 0 local.get 0 i64.extend_i32_s local.get 0 f64.convert_i32_s)
  (func (export "bump") (result i64)
    global.get $counter i64.const 1 i64.add global.set $counter global.get $counter)
  (func (export "grow") (param i32) (result i32) local.get 0 memory.grow)
  (func (export "size") (result i32) memory.size)
  (func (export "load") (param i32) (result i32) local.get 0 i32.load)
  (func (export "store") (param i32 i32) local.get 0 local.get 1 i32.store)
  (func (export "fill") (param i32 i32 i32) local.get 0 local.get 1 local.get 2 memory.fill)
  (func (export "table.size") (result i32) table.size $t)
  (func (export "through") (param i32 i32) (result i32)
    local.get 1 local.get 0 call_indirect (type $i_i))
  (func (export "through.void") (param i32) local.get 0 call_indirect (type $v_v))

  (func (export "unreachable") unreachable)
  (func (export "divide") (param i32 i32) (result i32) local.get 0 local.get 1 i32.div_s)
  (func (export "truncate") (param f64) (result i32) local.get 0 i32.trunc_f64_s)
  (func $deep (export "deep") (param i32) (result i32)
    local.get 0 i32.eqz
    if (result i32) i32.const 0
    else local.get 0 i32.const 1 i32.sub call $deep i32.const 1 i32.add end)
  (func $forever (export "forever") (result i32) call $forever i32.const 1 i32.add)
  (func (export "reenter") (param i32) (result i32) local.get 0 call $call)
  (func (export "touch.then.call") (param i32) (result i32)
    i32.const 64 local.get 0 i32.store
    local.get 0 call $call
    i32.const 64 i32.load i32.add)

  ;; A mix of everything above, so that two engines can be compared.
  (func (export "mix") (param $n i32) (result i64) (local $i i32) (local $h i64)
    i64.const -3750763034362895579 local.set $h
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
      (local.set $h (i64.mul (i64.xor (local.get $h) (i64.extend_i32_u (local.get $i))) (i64.const 1099511628211)))
      (i64.store (i32.and (i32.mul (local.get $i) (i32.const 8)) (i32.const 0xfff8))
        (i64.add (local.get $h) (i64.load (i32.and (i32.wrap_i64 (local.get $h)) (i32.const 0xfff8)))))
      (f64.store (i32.and (i32.wrap_i64 (i64.shr_u (local.get $h) (i64.const 20))) (i32.const 0xfff8))
        (f64.sqrt (f64.convert_i64_u (local.get $h))))
      (v128.store (i32.and (i32.wrap_i64 (i64.shr_u (local.get $h) (i64.const 40))) (i32.const 0xfff0))
        (i32x4.mul (i32x4.splat (i32.wrap_i64 (local.get $h))) (v128.load (i32.const 64))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $next)))
    local.get $h)
  (func $even (param i32) (result i32)
    local.get 0 i32.eqz if (result i32) i32.const 1 else local.get 0 i32.const 1 i32.sub return_call $odd end)
  (func $odd (param i32) (result i32)
    local.get 0 i32.eqz if (result i32) i32.const 0 else local.get 0 i32.const 1 i32.sub return_call $even end)
  (func (export "even") (param i32) (result i32) local.get 0 call $even)
)
