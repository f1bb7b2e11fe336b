(module (memory 1) (data $d "abc") (func $drop (data.drop $d)) (func $run (export "run")))
