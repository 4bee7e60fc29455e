// Package configcheck checks configurations without running them, for `culvert validate` and `culvert diff`. Only
// [Online] sends requests. Problems name file and line, and quote no secrets.
package configcheck
