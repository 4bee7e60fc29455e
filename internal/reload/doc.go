// Package reload reconciles the connectors that run with their stored configurations.
//
// A [Reloader] watches a [config.Store] (connector files, or the config topic of a group). For each snapshot it plans
// the steps from what runs to what is stored, checks what differs, logs each step and has the herder carry it out. REST
// stores a configuration and applies it by [Reloader.ApplyOne]. A [ChangeChecker] finds what only a change can break: a
// service that rejects it while a task runs, and offsets that belong to another origin.
//
// Invariants: connectors are reconciled, and changed by REST, under one lock. A configuration with errors replaces
// nothing that runs.
package reload
