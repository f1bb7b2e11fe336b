(module (import "env" "base" (global i32)) (func $run (export "run")))
