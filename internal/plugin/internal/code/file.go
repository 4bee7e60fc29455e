package code

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"

	"github.com/culvert-project/culvert/internal/base/wholefile"
)

const (
	// maxModuleBytes bounds module files, as the meter does. The largest known guests have 12 MB.
	maxModuleBytes = 64 << 20
	maxCachedBytes = 256 << 20
)

// ReadModule reads a module file of at most 64 MiB.
func ReadModule(path string) ([]byte, error) { return readFile(path, maxModuleBytes) }

// readFile reads a regular file; others are rejected unread: a device has no end, a pipe waits for its writer.
func readFile(path string, limit int64) ([]byte, error) {
	file, info, err := wholefile.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if info.Size() > limit {
		return nil, fmt.Errorf("expected a module of at most %d bytes, found %d", limit, info.Size())
	}
	data := make([]byte, info.Size()+1)
	n, err := io.ReadFull(file, data)
	switch {
	case err == nil:
		return nil, fmt.Errorf("expected a file of %d bytes, found that it grows while it is read: copy it under "+
			"another name, then rename it", info.Size())
	case err != io.EOF && err != io.ErrUnexpectedEOF:
		return nil, err
	}
	return data[:n:n], nil
}

// HashFile returns the SHA-256 of a file in hex, and its size, without loading the file into memory.
func HashFile(files fs.FS, path string) (hash string, size int, err error) {
	f, err := files.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	return hex.EncodeToString(sum.Sum(nil)), int(n), err
}
