package plugin

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

const (
	// maxModuleBytes is the largest file that is taken for a module: what the meter takes. The largest guests known
	// have 12 MB.
	maxModuleBytes = 64 << 20
	// maxKeptBytes is the largest file of the cache: a module that was rewritten.
	maxKeptBytes = 256 << 20
)

// readModule reads a file of at most so many bytes. What is no regular file, behind links, or is larger is refused
// unread: a device has no end, a pipe waits for somebody who writes.
func readModule(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil {
		err = judgeFile(info, limit)
	}
	if err != nil {
		return nil, err
	}
	// What the name stands for may have changed since: opening must not wait, and what was opened is judged again.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err == nil {
		err = judgeFile(info, limit)
	}
	if err != nil {
		return nil, err
	}
	data := make([]byte, info.Size()+1)
	n, err := io.ReadFull(f, data)
	switch {
	case err == nil:
		return nil, fmt.Errorf("expected a file of %d bytes, found that it grows while it is read: copy it under "+
			"another name and rename it then", info.Size())
	case err != io.EOF && err != io.ErrUnexpectedEOF:
		return nil, err
	}
	return data[:n:n], nil
}

func judgeFile(info fs.FileInfo, limit int64) error {
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("expected a regular file, found %s", kindOf(info.Mode()))
	case info.Size() > limit:
		return fmt.Errorf("expected a module of at most %d bytes, found %d", limit, info.Size())
	}
	return nil
}

// kindOf names what is no regular file.
func kindOf(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a folder"
	case mode&fs.ModeNamedPipe != 0:
		return "a pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return "something else (" + mode.Type().String() + ")"
}

// hashFile is hashOf a file, and its size, without holding it: of those that the program brings nothing else is needed
// in most starts.
func hashFile(files fs.FS, path string) (hash string, size int64, err error) {
	f, err := files.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	size, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), size, err
}
