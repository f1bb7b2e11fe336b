(module (import "env" "table" (table 1 funcref)) (func $run (export "run")))
