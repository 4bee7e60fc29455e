// Package watch watches files and reports changes once they stop. It watches folders, because files are replaced by
// renaming or, by Kubernetes, with links. Some network drives and mounts send no events, and events may be lost, so
// [Files] polls as well.
package watch

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/culvert-project/culvert/internal/guard"
)

// delayFactor is the number of [Options.Settle] periods after which continuous changes are reported.
const delayFactor = 10

type Options struct {
	// Settle is how long changes must stop before they are reported: files are written in pieces.
	Settle time.Duration
	// Concerns filters events by path; nil accepts all. Names that begin with two dots always count: Kubernetes
	// replaces such links.
	Concerns func(path string) bool
	Logger   *slog.Logger
}

// Folders watches folders. Its goroutine ends with Close. Safe for concurrent use.
type Folders struct {
	files   *fsnotify.Watcher
	changed guard.Bell
	done    chan struct{}

	mu      sync.Mutex
	written map[string]time.Time // by path, when a file was last written to; those of long ago are left out
	settle  time.Duration
}

// Open returns a watcher without folders.
func Open(o Options) (*Folders, error) {
	files, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watching folders: %w", err)
	}
	f := &Folders{files: files, changed: guard.NewBell(), done: make(chan struct{}),
		written: map[string]time.Time{}, settle: o.Settle}
	go func() {
		defer close(f.done)
		defer guard.Recover(o.Logger, "watching folders", nil)
		f.run(o.Concerns)
	}()
	return f, nil
}

func (f *Folders) Add(folder string) error {
	if err := f.files.Add(folder); err != nil {
		return fmt.Errorf("watching %s: %w", folder, err)
	}
	return nil
}

// Changed receives after changes once they stop for [Options.Settle], at the latest after ten times as long.
func (f *Folders) Changed() <-chan struct{} {
	if f == nil {
		return nil
	}
	return f.changed
}

// Written reports whether a file was written within the last [Options.Settle] and may be incomplete.
func (f *Folders) Written(path string) bool {
	if f == nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	at, ok := f.written[filepath.Clean(path)]
	return ok && time.Since(at) < f.settle
}

// Close ends the goroutine.
func (f *Folders) Close() {
	if f == nil {
		return
	}
	f.files.Close()
	<-f.done
}

func (f *Folders) run(concerns func(string) bool) {
	due := newDebouncer(f.settle)
	defer due.timer.Stop()
	for {
		select {
		case e, ok := <-f.files.Events:
			if !ok {
				return
			}
			if e.Has(fsnotify.Write) {
				f.recordWrite(e.Name)
			}
			if concerns == nil || concerns(e.Name) || strings.HasPrefix(filepath.Base(e.Name), "..") {
				due.event()
			}
		case _, ok := <-f.files.Errors: // events were lost
			if !ok {
				return
			}
			due.event()
		case <-due.timer.C:
			due.fired()
			f.changed.Ring()
		}
	}
}

func (f *Folders) recordWrite(path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	for other, at := range f.written {
		if now.Sub(at) >= f.settle {
			delete(f.written, other)
		}
	}
	f.written[filepath.Clean(path)] = now
}

// debouncer fires when events stop for a while, and at intervals if they do not.
type debouncer struct {
	timer  *time.Timer
	settle time.Duration
	first  time.Time // of what was not reported yet; zero: nothing
	last   time.Time
}

func newDebouncer(settle time.Duration) *debouncer {
	r := &debouncer{timer: time.NewTimer(settle), settle: settle}
	r.timer.Stop()
	return r
}

func (r *debouncer) event() {
	r.last = time.Now()
	if r.first.IsZero() {
		r.first = r.last
	}
	r.timer.Reset(max(0, min(r.settle, delayFactor*r.settle-r.last.Sub(r.first))))
}

func (r *debouncer) fired() {
	r.first = time.Time{}
	now := time.Now()
	if quiet := now.Sub(r.last); quiet < r.settle {
		r.first = now
		r.timer.Reset(r.settle - quiet)
	}
}
