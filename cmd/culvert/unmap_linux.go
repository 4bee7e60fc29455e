package main

import (
	"os"
	"syscall"
	"unsafe"
)

// unmap removes the pages that contain nothing but content from this process's memory, and returns their number.
// content must be part of the program's file and constant: the system maps a page from the file when it is read again.
func unmap(content string) (pages int, err error) {
	pageBytes := uintptr(os.Getpagesize())
	start := uintptr(unsafe.Pointer(unsafe.StringData(content)))
	skipped := int(-start & (pageBytes - 1)) // to the next boundary of a page
	length := (len(content) - skipped) &^ int(pageBytes-1)
	if length <= 0 {
		return 0, nil
	}
	err = syscall.Madvise(unsafe.Slice(unsafe.StringData(content[skipped:]), length), syscall.MADV_DONTNEED)
	return length / int(pageBytes), err
}
