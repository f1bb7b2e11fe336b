;; Grows a table without a maximum, and one with a large one.
(module
  (table $a (export "open") 1 funcref)
  (table $b (export "bounded") 2 0xffffffff externref)
  (table $c (export "small") 3 5 funcref)
  (func (export "grow.open") (param i32) (result i32) ref.null func local.get 0 table.grow $a)
  (func (export "grow.bounded") (param i32) (result i32) ref.null extern local.get 0 table.grow $b)
  (func (export "grow.small") (param i32) (result i32) ref.null func local.get 0 table.grow $c))
