(module
  (import "env" "log" (func $log))
  (func $scalar (param i32 i64 f32 f64) (result i32 f64) i32.const 1 f64.const 1)
  (func $vector (param i32 v128))
  (func $gives (result externref) ref.null extern)
  (func $tail)
  (func $exported (export "exported"))
  (func $caller (return_call $tail))
  (func $caller2 (return_call $exported)))
