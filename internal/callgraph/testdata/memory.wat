(module (import "env" "memory" (memory 1)) (func $run (export "run")))
