;; What a guest gets of wasi_snapshot_preview1 where a host has nothing to give: no arguments, no environment, no files, a clock that
;; stands still, output that goes nowhere. It keeps no state and allocates nothing: the published adapter calls the guest's
;; cabi_realloc while a Go guest still starts, which that does not survive.
(module
  (import "env" "memory" (memory 0))
  (func $none2 (param i32 i32) (result i32) i32.const 0)
  (func $zeros2 (param i32 i32) (result i32)
    (i32.store (local.get 0) (i32.const 0)) (i32.store (local.get 1) (i32.const 0)) i32.const 0)
  (export "args_get" (func $none2))
  (export "args_sizes_get" (func $zeros2))
  (export "environ_get" (func $none2))
  (export "environ_sizes_get" (func $zeros2))
  ;; not zero: a Go guest takes that for a clock that is broken
  (func (export "clock_time_get") (param i32 i64 i32) (result i32)
    (i64.store (local.get 2) (i64.const 1640995200000000000)) i32.const 0)
  (func (export "random_get") (param i32 i32) (result i32)
    (memory.fill (local.get 0) (i32.const 0x5a) (local.get 1)) i32.const 0)
  (func (export "sched_yield") (result i32) i32.const 0)
  (func (export "proc_exit") (param i32) unreachable)
  ;; every sleep is over at once: the first subscription has happened
  (func (export "poll_oneoff") (param $in i32) (param $out i32) (param $n i32) (param $events i32) (result i32)
    (memory.fill (local.get $out) (i32.const 0) (i32.const 32))
    (i64.store (local.get $out) (i64.load (local.get $in)))
    (i32.store (local.get $events) (i32.const 1))
    i32.const 0)
  ;; all that is written is taken
  (func (export "fd_write") (param $fd i32) (param $list i32) (param $n i32) (param $written i32) (result i32)
    (local $sum i32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $n)))
        (local.set $sum (i32.add (local.get $sum) (i32.load offset=4 (local.get $list))))
        (local.set $list (i32.add (local.get $list) (i32.const 8)))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br $next)))
    (i32.store (local.get $written) (local.get $sum))
    i32.const 0)
  ;; 8: no such descriptor
  (func (export "fd_close") (param i32) (result i32) i32.const 8)
  (func (export "fd_seek") (param i32 i64 i32 i32) (result i32) i32.const 8)
  (func (export "fd_fdstat_get") (param i32 i32) (result i32) i32.const 8)
  (func (export "fd_fdstat_set_flags") (param i32 i32) (result i32) i32.const 8)
  (func (export "fd_prestat_get") (param i32 i32) (result i32) i32.const 8)
  (func (export "fd_prestat_dir_name") (param i32 i32 i32) (result i32) i32.const 8)
  ;; Go looks for time zones in files first
  (func (export "path_open") (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32) i32.const 8)
  (func (export "fd_read") (param i32 i32 i32 i32) (result i32) i32.const 8))
