// Package wholefile writes files atomically: readers, at the same time or after a crash, find the old or the new
// content. It reads regular files alone, so that a pipe does not block.
package wholefile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Write replaces a file atomically, readable by this user alone (0600).
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

// syncFolder makes names survive a crash of the machine, if the file system can.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return nil // of Windows, or one that may not be listed: the file itself is stored
	}
	_ = folder.Sync() // likewise
	return folder.Close()
}

const tempPrefix = ".culvert-new-"

// tempMaxAge is the age at which a temporary file counts as left behind.
const tempMaxAge = time.Hour

// Clean removes temporary files of killed processes from a folder.
func Clean(folder string) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return // it need not be there
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasPrefix(e.Name(), tempPrefix) && info.Mode().IsRegular() &&
			time.Since(info.ModTime()) > tempMaxAge {
			_ = os.Remove(filepath.Join(folder, e.Name()))
		}
	}
}

// writeTemp writes a temporary file in the folder of path.
func writeTemp(path string, content []byte, synced bool) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), tempPrefix+"*") // mode 0600
	if err != nil {
		return "", err
	}
	_, err = f.Write(content)
	if synced && err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// Create writes a new file and returns os.ErrExist if it exists. Of concurrent calls one succeeds.
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
	// Shares of Windows and of some clouds have no links: there it is all there a moment after it is there.
	alone, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = alone.Write(content)
	return errors.Join(err, alone.Close())
}

var link = os.Link // which tests make fail
