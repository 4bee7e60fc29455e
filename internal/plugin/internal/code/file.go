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
	// maxModuleBytes is the largest file that is taken for a module: what the meter takes. The largest guests known
	// have 12 MB.
	maxModuleBytes = 64 << 20
	// maxKeptBytes is the largest file of the cache: a module that was rewritten.
	maxCachedBytes = 256 << 20
)

// ReadModule reads a module's file, of 64 MiB at most; what readFile refuses it refuses.
func ReadModule(path string) ([]byte, error) { return readFile(path, maxModuleBytes) }

// readFile reads a file of at most so many bytes. What is no regular file, when links are followed, or is larger is
// refused unread: a device has no end, a pipe waits for somebody who writes.
func readFile(path string, limit int64) ([]byte, error) {
	f, info, err := wholefile.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info.Size() > limit {
		return nil, fmt.Errorf("expected a module of at most %d bytes, found %d", limit, info.Size())
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

// HashFile returns the SHA-256 of a file, in hex, and the file's size. It does not read the file into memory at once.
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
