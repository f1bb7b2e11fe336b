(module
  (table $t 1 funcref)
  (func $run (export "run"))
  (func $change
    (table.set $t (i32.const 0) (ref.null func))
    (drop (table.grow $t (ref.null func) (i32.const 1)))))
