package main

import "golang.org/x/sys/windows"

// windowSize is the size of a console's window in columns and rows, zero where nobody knows.
func windowSize(fd uintptr) (width, height int) {
	var info windows.ConsoleScreenBufferInfo
	if windows.GetConsoleScreenBufferInfo(windows.Handle(fd), &info) != nil {
		return 0, 0
	}
	return int(info.Window.Right - info.Window.Left + 1), int(info.Window.Bottom - info.Window.Top + 1)
}
