package config

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/culvert-project/culvert/host/guard"
)

// Again is the connector with its references resolved anew: a secret behind a file may be another one by now. What was given in
// place is as it was.
func (c *Connector) Again(p *Providers) (*Connector, error) {
	entries := slices.Clone(c.Entries)
	for i := range entries {
		entries[i].Value, entries[i].Secret, entries[i].FromFile = entries[i].Raw, false, false
	}
	entries, problems := p.Resolve(entries)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return &Connector{Name: c.Name, File: c.File, Entries: entries}, nil
}

// Differing are the keys whose values differ between two readings of one connector.
func (c *Connector) Differing(other *Connector) []string {
	var keys []string
	for _, e := range c.Entries {
		if v, ok := other.Get(e.Key); !ok || v != e.Value {
			keys = append(keys, e.Key)
		}
	}
	return keys
}

// Files are those that references of a connector lead to.
func (p *Providers) Files(c *Connector) []string {
	var files []string
	for _, e := range c.Entries {
		for _, parts := range reference.FindAllStringSubmatch(e.Raw, -1) {
			path := ""
			switch provider := p.byName[parts[1]]; {
			case provider.kind == ofFile:
				path = parts[3]
			case provider.kind == ofFolder:
				path = filepath.Join(parts[3], parts[4])
			}
			if path != "" && !slices.Contains(files, path) {
				files = append(files, path)
			}
		}
	}
	return files
}

// Watcher tells when files may have changed. It owns a goroutine, which ends with Close.
type Watcher struct {
	files   *fsnotify.Watcher // nil where they are only looked at from time to time
	names   []string          // of the files, without their folders
	every   time.Duration
	changed func()
	cancel  context.CancelFunc
	done    chan struct{}
}

const (
	// settle is how long the folders must be quiet: a file is often written in pieces.
	settle = 100 * time.Millisecond
	// lookAgain is for file systems that tell nobody what happens to them.
	lookAgain = 30 * time.Second
)

// Watch calls changed, from one goroutine, when something has happened in the folders of the files, and every 30 s in any case.
// Folders are watched rather than files, because files are replaced: by renaming, or, as Kubernetes does it, by another link beside
// them.
func Watch(files []string, log *slog.Logger, changed func()) *Watcher {
	ctx, cancel := context.WithCancel(context.Background())
	w := &Watcher{names: bases(files), every: lookAgain, changed: changed, cancel: cancel, done: make(chan struct{})}
	if err := w.listen(folders(files)); err != nil {
		log.Warn("secrets are looked at every 30 s only, changes are not told", "error", err)
	}
	go w.run(ctx)
	return w
}

func bases(files []string) []string {
	var names []string
	for _, file := range files {
		names = append(names, filepath.Base(file), filepath.Base(target(file)))
	}
	return names
}

// concerns leaves out what else happens in the folders. Kubernetes switches links whose names begin with two dots.
func (w *Watcher) concerns(name string) bool {
	return slices.Contains(w.names, name) || strings.HasPrefix(name, "..")
}

// folders are those of the files, and of what they are links to.
func folders(files []string) []string {
	var dirs []string
	for _, file := range files {
		for _, path := range []string{file, target(file)} {
			if dir := filepath.Dir(path); path != "" && !slices.Contains(dirs, dir) {
				dirs = append(dirs, dir)
			}
		}
	}
	return dirs
}

func target(file string) string {
	path, err := filepath.EvalSymlinks(file)
	if err != nil {
		return ""
	}
	return path
}

func (w *Watcher) listen(dirs []string) error {
	files, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if err := files.Add(dir); err != nil {
			files.Close()
			return fmt.Errorf("watching %s: %w", dir, err)
		}
	}
	w.files = files
	return nil
}

// Close ends the goroutine.
func (w *Watcher) Close() {
	w.cancel()
	<-w.done
	if w.files != nil {
		w.files.Close()
	}
}

func (w *Watcher) run(ctx context.Context) {
	defer guard.Recover(nil, "watching secrets", nil)
	defer close(w.done)
	var events chan fsnotify.Event
	var errors chan error
	if w.files != nil {
		events, errors = w.files.Events, w.files.Errors
	}
	quiet, again := time.NewTimer(settle), time.NewTicker(w.every)
	quiet.Stop()
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			quiet.Stop()
			return
		case e := <-events:
			if w.concerns(filepath.Base(e.Name)) {
				quiet.Reset(settle)
			}
		case <-errors: // events were lost
			quiet.Reset(settle)
		case <-quiet.C:
			w.changed()
		case <-again.C:
			w.changed()
		}
	}
}

// Stamp says what state files are in, so that two states can be compared. Files that are not there have one too.
func Stamp(files ...string) string {
	var b strings.Builder
	for _, file := range files {
		if info, err := os.Stat(file); err == nil {
			fmt.Fprintf(&b, "%s %d %d\n", file, info.Size(), info.ModTime().UnixNano())
		}
	}
	return b.String()
}
