// Package task has what source and sink tasks share; packages source and sink have their loops.
//
// A [Plugin] opens the plugin for a task and upgrades it to newer versions (plugin.go, poolversions.go). [Metrics] and
// [BusyClock] measure a task (metrics.go, window.go, clock.go). [Tolerance], [RetryPolicy] and [Failure] specify what
// happens to records that fail (tolerance.go, skiplog.go, retry.go, deadletter.go, rowsubset.go).
//
// Invariants: a version is used only after it was opened; all tasks of a connector converge to its current version.
package task
