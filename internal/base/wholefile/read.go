package wholefile

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// NotRegularError is the error for devices, pipes and the like, which may never end.
type NotRegularError struct {
	// Kind names it, as in `a pipe`.
	Kind string
}

func (n *NotRegularError) Error() string { return "expected a file, found " + n.Kind }

func (n *NotRegularError) Unwrap() error {
	if n.Kind == "a folder" {
		return syscall.EISDIR
	}
	return nil
}

// Open opens a regular file without waiting. The error for anything else is a [*NotRegularError].
func Open(path string) (*os.File, fs.FileInfo, error) {
	info, err := os.Stat(path)
	if err == nil {
		err = checkRegular(info)
	}
	if err != nil {
		return nil, nil, err
	}
	// The file may have been replaced since: do not wait, and check again.
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

// Read reads a regular file of at most limit bytes without waiting.
func Read(path string, limit int64) ([]byte, error) {
	f, info, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info.Size() > limit {
		return nil, fmt.Errorf("%s: expected at most %d bytes, found %d", path, limit, info.Size())
	}
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = fmt.Errorf("%s: expected at most %d bytes, found more", path, limit)
	}
	return content, err
}

// CheckRegular checks that a folder contains only folders and regular files.
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
	return &NotRegularError{kind}
}
