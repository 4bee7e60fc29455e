// Package configcheck checks the files of a worker and of its connectors without running it, for `culvert validate` and
// `culvert diff`: [Check] offline, [Online] with the services, [WithoutSecrets] where the secrets are missing.
// [Compare] returns what a reload of the files would change in a worker that runs.
//
// Invariants: only [Online] sends requests. Problems name file and line, and quote no secrets.
package configcheck
