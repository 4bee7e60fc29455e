// Package wholefile writes files that have all of their content at any moment: whoever reads one, at the same time as
// the writer or after a crash, finds what was there before or what is there now. It reads what is a file and nothing
// else, so that a pipe in the place of one holds up nobody.
package wholefile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Write writes a file in the place of the one of that name, for this user alone (0600).
func Write(path string, content []byte) error { return write(path, content, false) }

// WriteSynced is Replace for what must outlive a crash of the machine.
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

// syncFolder has the names of a folder outlive a crash of the machine, where its file system can do that.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return nil // of Windows, or one that may not be listed: the file itself is stored
	}
	_ = folder.Sync() // likewise
	return folder.Close()
}

// tempPrefix is how files begin that are written before they get their name.
const tempPrefix = ".culvert-new-"

// tempMaxAge is after how long such a file is nobody's any more.
const tempMaxAge = time.Hour

// Clean removes what a program that was killed has left unfinished in a folder.
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

// writeTemp writes the content to a file of another name in the same folder.
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

// Create writes a file that must not be there yet: os.ErrExist where it is. Of several that write it at once one succeeds.
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
