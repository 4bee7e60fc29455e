// Package watch hears of what happens to files, and reports it when they have come to rest.
//
// Folders are watched rather than files, because files are replaced: by renaming, or, as Kubernetes does it, by another
// link next to them. Network drives and some mounts tell nobody what happens to them, and an event may be lost: who
// must not miss a change looks from time to time as well ([Files] does).
package watch

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/culvert-project/culvert/host/guard"
)

// maxDelay is how many times [Options.Settle] events are waited out until they are reported although others go on.
const maxDelay = 10

// Options of a [Folders].
type Options struct {
	// Settle is for how long nothing may happen until what has happened is reported: files are written in pieces.
	Settle time.Duration
	// Concerns reports whether an event is of interest, by the path of its file; nil: every one is. Names that begin
	// with two dots are in any case: those are the links that Kubernetes switches.
	Concerns func(path string) bool
	// Logger gets a panic. Default: none.
	Logger *slog.Logger
}

// Folders hears of what happens in folders. It owns a goroutine, which ends with Close. Safe for use by several
// goroutines.
type Folders struct {
	files   *fsnotify.Watcher
	changed guard.Bell
	done    chan struct{}

	mu      sync.Mutex
	written map[string]time.Time // by path, when a file was last written to; those of long ago are left out
	settle  time.Duration
}

// Open begins to listen; [Folders.Add] says where.
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

// Add listens to one more folder; one that is listened to already changes nothing.
func (f *Folders) Add(folder string) error {
	if err := f.files.Add(folder); err != nil {
		return fmt.Errorf("watching %s: %w", folder, err)
	}
	return nil
}

// Changed has an element when something has happened since the last was taken, and nothing has for [Options.Settle];
// where something happens all the time, after ten times as long, and once more at the end.
func (f *Folders) Changed() <-chan struct{} {
	if f == nil {
		return nil
	}
	return f.changed
}

// Written reports whether a file was written to within the last [Options.Settle]: it may be cut off.
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
				f.note(e.Name)
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

// note remembers that a file is being written.
func (f *Folders) note(path string) {
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

// debouncer fires when nothing has happened for a while, and where something always happens in time, too: then again when
// that is over.
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
	r.timer.Reset(max(0, min(r.settle, maxDelay*r.settle-r.last.Sub(r.first))))
}

// fired is called when it has fired.
func (r *debouncer) fired() {
	r.first = time.Time{}
	now := time.Now()
	if quiet := now.Sub(r.last); quiet < r.settle {
		r.first = now
		r.timer.Reset(r.settle - quiet)
	}
}
