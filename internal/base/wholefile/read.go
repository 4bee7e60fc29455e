package wholefile

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// NotRegular is the error of what is no regular file, when links are followed: a device has no end, and a pipe waits
// for somebody who writes.
type NotRegular struct {
	// Kind is what it is, such as `a pipe`.
	Kind string
}

func (e *NotRegular) Error() string { return "expected a file, found " + e.Kind }

// Unwrap is the system's error of reading a folder.
func (e *NotRegular) Unwrap() error {
	if e.Kind == "a folder" {
		return syscall.EISDIR
	}
	return nil
}

// Open opens a regular file for reading, and never waits. The error is a [*NotRegular] for anything else, which is not
// opened where its name says so before.
func Open(path string) (*os.File, fs.FileInfo, error) {
	info, err := os.Stat(path)
	if err == nil {
		err = checkRegular(info)
	}
	if err != nil {
		return nil, nil, err
	}
	// What the name stands for may have changed since: opening must not wait, and what was opened is judged again.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	if info, err = f.Stat(); err == nil {
		err = checkRegular(info)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// Read reads a regular file of at most so many bytes, and never waits; see [Open].
func Read(path string, most int64) ([]byte, error) {
	f, info, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info.Size() > most {
		return nil, fmt.Errorf("%s: expected at most %d bytes, found %d", path, most, info.Size())
	}
	content, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(content)) > most {
		err = fmt.Errorf("%s: expected at most %d bytes, found more", path, most)
	}
	return content, err
}

// CheckRegular checks that there is nothing below a folder but folders and regular files, for those who open what they find;
// the error names what is something else.
func CheckRegular(folder string) error {
	return filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := os.Stat(path)
		if err == nil && !info.IsDir() {
			err = checkRegular(info)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	})
}

func checkRegular(info fs.FileInfo) error {
	kind := "something else (" + info.Mode().Type().String() + ")"
	switch mode := info.Mode(); {
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		kind = "a folder"
	case mode&fs.ModeNamedPipe != 0:
		kind = "a pipe"
	case mode&fs.ModeSocket != 0:
		kind = "a socket"
	case mode&fs.ModeDevice != 0:
		kind = "a device"
	}
	return &NotRegular{kind}
}
