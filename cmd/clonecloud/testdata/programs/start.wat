;; Traps before the program has begun.
(module (memory (export "memory") 1) (func $boot unreachable) (start $boot) (func (export "_start")))
