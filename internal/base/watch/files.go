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
	Settle = 100 * time.Millisecond // the default of [Options.Settle]
	// pollInterval applies to file systems without events.
	pollInterval = 30 * time.Second
)

// Files calls onChange from one goroutine when files may have changed, and every 30 s, until stop, which waits for it.
func Files(files []string, log *slog.Logger, onChange func()) (stop func()) {
	return watchEvery(pollInterval, files, log, onChange)
}

// watchEvery is [Files] with another interval.
func watchEvery(d time.Duration, files []string, log *slog.Logger, onChange func()) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	w, err := watchFolders(files, log)
	if err != nil {
		log.Warn("files are only polled, since watching them failed", "every", d.String(), "error", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer guard.Recover(log, "watching files", nil)
		ticker := time.NewTicker(d)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-w.Changed():
			case <-ticker.C:
			}
			onChange()
		}
	}()
	return func() {
		cancel()
		<-done
		w.Close()
	}
}

// watchFolders watches the folders of files and of their link targets.
func watchFolders(files []string, log *slog.Logger) (*Folders, error) {
	var names []string
	var folders []string
	for _, file := range files {
		for _, path := range []string{file, Target(file)} {
			if path != "" {
				names = append(names, filepath.Base(path))
				folders = append(folders, filepath.Dir(path))
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

// Target returns the file that a path leads to through all links, or "".
func Target(path string) string {
	to, err := filepath.EvalSymlinks(path)
	if err != nil {
		return ""
	}
	return to
}

const maxStamped = 16 << 20

// Stamp returns a digest of the first 16 MiB of each file, to detect changes. Unreadable files count by their error.
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
			// The limit also bounds io.Copy's buffer, which would be 32 KiB for each small file of a folder. The file
			// may grow by 4 KiB.
			_, err = io.Copy(digest, io.LimitReader(f, min(maxStamped, info.Size()+4<<10)))
			f.Close()
		}
		fmt.Fprintf(digest, "%s: %v\n", file, err)
	}
	return string(digest.Sum(nil))
}
