// Package task has what source and sink tasks share. Packages source and sink read and write the records.
//
// A [Plugin] opens the plugin for a task and upgrades it to newer versions at boundaries of the work. [Metrics] and
// [BusyClock] measure a task. [Tolerance], [RetryPolicy] and [Failure] specify what happens to records that fail.
//
// Where to look: plugin.go, poolversions.go: versions of the plugin. metrics.go, window.go, clock.go: metrics.
// tolerance.go, skiplog.go, retry.go: errors. deadletter.go, rowsubset.go: dead letters.
//
// Invariants: a version is used only after it was opened; all tasks of a connector converge to its current version.
package task
