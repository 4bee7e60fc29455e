//go:build !linux

package main

import "errors"

// unmap returns [errors.ErrUnsupported]: memory was measured on Linux only.
func unmap(string) (pages int, err error) { return 0, errors.ErrUnsupported }
