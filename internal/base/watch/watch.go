// Package watch reports changes of files. It watches their folders, since files are replaced by renaming or, in
// Kubernetes, by links. [Files] polls as well, since some network drives send no events.
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

// Options configures [Open].
type Options struct {
	Settle time.Duration // the time without changes to wait for, since files are written in pieces
	// Concerns filters paths; nil accepts all. Names that begin with two dots, Kubernetes' links, always count.
	Concerns func(path string) bool
	Logger   *slog.Logger
}

// Folders watches folders, see [Open]. Nil watches nothing. It is safe for concurrent use.
type Folders struct {
	watcher *fsnotify.Watcher
	changed guard.Bell
	done    chan struct{}

	mu      sync.Mutex
	written map[string]time.Time // recent writes by path
	settle  time.Duration
}

// Open returns a watcher without folders. Its goroutine ends with Close.
func Open(o Options) (*Folders, error) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watching folders: %w", err)
	}
	f := &Folders{watcher: watcher, changed: guard.NewBell(), done: make(chan struct{}),
		written: map[string]time.Time{}, settle: o.Settle}
	go func() {
		defer close(f.done)
		defer guard.Recover(o.Logger, "watching folders", nil)
		f.run(o.Concerns)
	}()
	return f, nil
}

// Add watches one more folder, but not the folders in it.
func (f *Folders) Add(folder string) error {
	if err := f.watcher.Add(folder); err != nil {
		return fmt.Errorf("watching %s: %w", folder, err)
	}
	return nil
}

// Changed receives after changes have stopped, at the latest after ten [Options.Settle].
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
	writtenAt, ok := f.written[filepath.Clean(path)]
	return ok && time.Since(writtenAt) < f.settle
}

// Close ends watching and waits for the goroutine. [Folders.Changed] is not closed.
func (f *Folders) Close() {
	if f == nil {
		return
	}
	f.watcher.Close()
	<-f.done
}

// run rings changed after events, until the watcher is closed.
func (f *Folders) run(concerns func(string) bool) {
	debounce := newDebouncer(f.settle)
	defer debounce.timer.Stop()
	for {
		select {
		case event, ok := <-f.watcher.Events:
			if !ok {
				return
			}
			if event.Has(fsnotify.Write) {
				f.recordWrite(event.Name)
			}
			if concerns == nil || concerns(event.Name) || strings.HasPrefix(filepath.Base(event.Name), "..") {
				debounce.observe()
			}
		case _, ok := <-f.watcher.Errors: // events were lost, or the watcher was closed
			if !ok {
				return
			}
			debounce.observe()
		case <-debounce.timer.C:
			debounce.reset()
			f.changed.Ring()
		}
	}
}

// recordWrite records a write and forgets those that are older than settle.
func (f *Folders) recordWrite(path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	for recorded, writtenAt := range f.written {
		if now.Sub(writtenAt) >= f.settle {
			delete(f.written, recorded)
		}
	}
	f.written[filepath.Clean(path)] = now
}

// debouncer has a timer that fires when events have stopped for settle, and at intervals if they do not stop.
type debouncer struct {
	timer  *time.Timer
	settle time.Duration
	first  time.Time // the first event since the timer fired; zero means none
	last   time.Time // the last event
}

func newDebouncer(settle time.Duration) *debouncer {
	d := &debouncer{timer: time.NewTimer(settle), settle: settle}
	d.timer.Stop()
	return d
}

// observe records an event and sets the timer.
func (d *debouncer) observe() {
	d.last = time.Now()
	if d.first.IsZero() {
		d.first = d.last
	}
	d.timer.Reset(max(0, min(d.settle, delayFactor*d.settle-d.last.Sub(d.first))))
}

// reset must be called after the timer fired. It sets the timer again if events have not stopped.
func (d *debouncer) reset() {
	d.first = time.Time{}
	now := time.Now()
	if quiet := now.Sub(d.last); quiet < d.settle {
		d.first = now
		d.timer.Reset(d.settle - quiet)
	}
}
