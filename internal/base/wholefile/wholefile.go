// Package wholefile writes files atomically: readers find the old or the new content, even after a crash. It reads
// regular files only, so that a pipe does not block.
package wholefile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Write replaces a file, readable by this user only (0600).
func Write(path string, content []byte) error { return write(path, content, false) }

// WriteSynced is Write for files that must survive a crash of the machine.
func WriteSynced(path string, content []byte) error { return write(path, content, true) }

func write(path string, content []byte, synced bool) error {
	name, err := writeTemp(path, content, synced)
	if err != nil {
		return err
	}
	defer os.Remove(name)
	if err := os.Rename(name, path); err != nil {
		return err
	}
	if synced {
		return syncFolder(filepath.Dir(path))
	}
	return nil
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return nil // not supported (Windows) or not permitted; the file's content is synced
	}
	_ = folder.Sync() // not supported by all file systems
	return folder.Close()
}

const (
	tempPrefix = ".culvert-new-"
	tempMaxAge = time.Hour
)

// Clean removes temporary files of killed processes.
func Clean(folder string) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return // the folder need not exist
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasPrefix(e.Name(), tempPrefix) && info.Mode().IsRegular() &&
			time.Since(info.ModTime()) > tempMaxAge {
			_ = os.Remove(filepath.Join(folder, e.Name()))
		}
	}
}

// writeTemp writes a temporary file in the folder of path and returns its name. After an error there is no file.
func writeTemp(path string, content []byte, synced bool) (name string, err error) {
	file, err := os.CreateTemp(filepath.Dir(path), tempPrefix+"*") // mode 0600
	if err != nil {
		return "", err
	}
	_, err = file.Write(content)
	if synced && err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return "", errors.Join(err, os.Remove(file.Name()))
	}
	return file.Name(), nil
}

// Create writes a new file. If it exists the error is os.ErrExist; of concurrent calls one succeeds.
func Create(path string, content []byte) error {
	name, err := writeTemp(path, content, true)
	if err != nil {
		return err
	}
	defer os.Remove(name)
	if err = link(name, path); err == nil {
		return syncFolder(filepath.Dir(path))
	}
	if errors.Is(err, os.ErrExist) {
		return err
	}
	// Some network shares have no links: there the file exists before its content.
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Close())
}

var link = os.Link // replaced by tests
