;; Changes its table, so it runs and is never offloaded.
(module
  (table $t 2 funcref)
  (memory (export "memory") 1)
  (func (export "_start") (table.set $t (i32.const 0) (ref.null func))))
