package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/culvert-project/culvert/internal/base/wholefile"
)

const (
	maxFileBytes = 1 << 20 // of a configuration, a list of target states or a file of secrets
	// MaxSettings is the largest number of settings in a file.
	MaxSettings = 10_000
)

// ReadFile reads a file by its extension: .yaml or .yml, .json, else .properties. As for Kafka's standalone worker, a
// file that begins with a brace is JSON, and one that begins with NAME= has properties. The last value of a repeated
// key counts, with a warning.
func ReadFile(path string) ([]Entry, Problems, error) {
	data, err := ReadRegular(path)
	if err != nil {
		return nil, nil, err
	}
	entries, problems := Read(path, data)
	return entries, problems, nil
}

// readTries is how often a file that changes during the read is read.
const readTries = 3

// ReadRegular reads a regular file of at most [maxFileBytes]; pipes and devices may never end. It reads again if the
// file changes during the read, because half a file may be valid with half a password.
func ReadRegular(path string) ([]byte, error) {
	for range readTries {
		infoBefore, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, withoutPathError(err))
		}
		if size := infoBefore.Size(); infoBefore.Mode().IsRegular() && size > maxFileBytes {
			return nil, fmt.Errorf("%s: expected at most %d bytes, found %d", path, maxFileBytes, size)
		}
		data, infoAfter, err := readBounded(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, withoutPathError(err))
		}
		isSame := os.SameFile(infoBefore, infoAfter) && infoBefore.Size() == infoAfter.Size() &&
			infoBefore.ModTime().Equal(infoAfter.ModTime())
		if isSame && int64(len(data)) == infoAfter.Size() {
			return data, nil
		}
	}
	return nil, fmt.Errorf("%s: the file changes while it is read: try again when it is complete", path)
}

// readBounded reads at most one byte more than [maxFileBytes], and returns what the path names afterwards.
func readBounded(path string) (data []byte, infoAfter os.FileInfo, err error) {
	f, _, err := wholefile.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if data, err = io.ReadAll(io.LimitReader(f, maxFileBytes+1)); err != nil {
		return nil, nil, err
	}
	if infoAfter, err = os.Stat(path); err != nil {
		return nil, nil, err
	}
	return data, infoAfter, nil
}

// withoutPathError returns the cause of an error of package os, for messages that name the path themselves.
func withoutPathError(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
