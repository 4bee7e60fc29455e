package watch

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/culvert-project/culvert/internal/guard"
)

const (
	// Settle is how long files are usually waited for that are written in pieces.
	Settle = 100 * time.Millisecond
	// pollInterval is for file systems that tell nobody what happens to them.
	pollInterval = 30 * time.Second
)

// Files calls changed, from one goroutine, when something may have happened to files, and every 30 s in any case, until
// stop is called, which waits for it to return.
func Files(files []string, log *slog.Logger, changed func()) (stop func()) {
	return watchEvery(pollInterval, files, log, changed)
}

func watchEvery(d time.Duration, files []string, log *slog.Logger, changed func()) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	w, err := watchFolders(files, log)
	if err != nil {
		log.Warn("files are looked at from time to time only, changes are not reported", "every", d.String(), "error", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer guard.Recover(log, "watching files", nil)
		again := time.NewTicker(d)
		defer again.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-w.Changed():
			case <-again.C:
			}
			changed()
		}
	}()
	return func() {
		cancel()
		<-done
		w.Close()
	}
}

// watchFolders listens to the folders of files, and of what they are links to; what else happens there is left out.
func watchFolders(files []string, log *slog.Logger) (*Folders, error) {
	var names, folders []string
	for _, file := range files {
		for _, path := range []string{file, Target(file)} {
			if path != "" {
				names, folders = append(names, filepath.Base(path)), append(folders, filepath.Dir(path))
			}
		}
	}
	w, err := Open(Options{Settle: Settle, Logger: log, Concerns: func(path string) bool {
		return slices.Contains(names, filepath.Base(path))
	}})
	if err != nil {
		return nil, err
	}
	slices.Sort(folders)
	for _, folder := range slices.Compact(folders) {
		if err := w.Add(folder); err != nil {
			w.Close()
			return nil, err
		}
	}
	return w, nil
}

// Target is the file that a path leads to through all links, "" where there is none.
func Target(path string) string {
	to, err := filepath.EvalSymlinks(path)
	if err != nil {
		return ""
	}
	return to
}

// maxStamped is how much of a file counts for its stamp.
const maxStamped = 16 << 20

// Stamp returns a digest of what files contain, so that two states of them can be compared. A file that cannot be read,
// or is no regular one, has a stamp, too, without contents.
func Stamp(files ...string) string {
	digest := sha256.New()
	for _, file := range files {
		info, err := os.Stat(file)
		var f *os.File
		if err == nil && info.Mode().IsRegular() {
			f, err = os.Open(file)
		}
		if f != nil {
			fmt.Fprintf(digest, "%s %d\n", file, info.Size())
			_, err = io.Copy(digest, io.LimitReader(f, maxStamped))
			f.Close()
		}
		fmt.Fprintf(digest, "%s: %v\n", file, err)
	}
	return string(digest.Sum(nil))
}
