(module (import "env" "sp" (global (mut i32))) (func $run (export "run")))
