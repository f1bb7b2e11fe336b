;; No function of its own: sections for the trampoline have to be made.
(module
  (import "env" "f" (func (param f32) (result f32)))
  (import "env" "g" (global i32)))
