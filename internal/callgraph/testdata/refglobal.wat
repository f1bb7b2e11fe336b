(module (global (mut externref) (ref.null extern)) (func $run (export "run")))
