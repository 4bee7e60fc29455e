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
	// Settle is how long changes must have stopped, since files are written in pieces.
	Settle time.Duration
	// Concerns filters paths; nil accepts all. Names that begin with two dots, Kubernetes' links, always count.
	Concerns func(path string) bool
	Logger   *slog.Logger
}

// Folders watches folders, see [Open]. Nil watches nothing. It is safe for concurrent use.
type Folders struct {
	files   *fsnotify.Watcher
	changed guard.Bell
	done    chan struct{}

	mu      sync.Mutex
	written map[string]time.Time // recent writes by path
	settle  time.Duration
}

// Open returns a watcher without folders. Its goroutine ends with Close.
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

// Add watches one more folder, but not the folders in it.
func (f *Folders) Add(folder string) error {
	if err := f.files.Add(folder); err != nil {
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
	for other, writtenAt := range f.written {
		if now.Sub(writtenAt) >= f.settle {
			delete(f.written, other)
		}
	}
	f.written[filepath.Clean(path)] = now
}

// debouncer fires when events stop, and at intervals if they do not.
type debouncer struct {
	timer  *time.Timer
	settle time.Duration
	first  time.Time // the first unreported event; zero means none
	last   time.Time
}

func newDebouncer(settle time.Duration) *debouncer {
	r := &debouncer{timer: time.NewTimer(settle), settle: settle}
	r.timer.Stop()
	return r
}

func (d *debouncer) event() {
	d.last = time.Now()
	if d.first.IsZero() {
		d.first = d.last
	}
	d.timer.Reset(max(0, min(d.settle, delayFactor*d.settle-d.last.Sub(d.first))))
}

func (d *debouncer) fired() {
	d.first = time.Time{}
	now := time.Now()
	if quiet := now.Sub(d.last); quiet < d.settle {
		d.first = now
		d.timer.Reset(d.settle - quiet)
	}
}
