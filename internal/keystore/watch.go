package keystore

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"sync"
)

// watched is a value read from a store. get rereads it if one of the store's files has changed; there is no goroutine.
type watched[T any] struct {
	location Location
	names    settingNames
	log      *slog.Logger
	read     func(*Store) (T, error)

	mu       sync.Mutex // guards the fields below
	current  T
	store    *Store
	lastSeen []os.FileInfo // of store.files, before they were read
}

// openWatched reads a store for the first time. ctx, which may be nil, cancels that.
func openWatched[T any](ctx context.Context, location Location, names settingNames, log *slog.Logger,
	read func(*Store) (T, error)) (*watched[T], error) {
	if ctx == nil {
		ctx = context.Background()
	}
	w := &watched[T]{location: location, names: names, log: log, read: read}
	if location.PEM == nil {
		path, _ := splitDomain(location.Path)
		w.lastSeen = statFiles([]string{path})
	}
	s, current, err := w.open(ctx)
	if err != nil {
		return nil, err
	}
	w.store = s
	w.current = current
	if len(s.files) == 0 { // a text or a PKCS#11 token
		w.lastSeen = nil
	} else if len(s.files) > 1 {
		w.lastSeen = append(w.lastSeen, statFiles(s.files[1:])...)
	}
	return w, nil
}

func (w *watched[T]) open(ctx context.Context) (*Store, T, error) {
	s, err := open(ctx, w.location, w.names)
	if err != nil {
		var none T
		return nil, none, err
	}
	current, err := w.read(s)
	return s, current, err
}

// get returns the newest usable content, after rereading changed files.
func (w *watched[T]) get() T {
	w.mu.Lock()
	defer w.mu.Unlock()
	infos := statFiles(w.store.files)
	if slices.EqualFunc(infos, w.lastSeen, sameFile) {
		return w.current
	}
	w.lastSeen = infos
	s, current, err := w.open(context.Background())
	if err != nil {
		w.log.Error("a changed key store cannot be used; connections continue with its previous content",
			"store", w.store.description, "error", err)
		return w.current
	}
	if !slices.Equal(s.files, w.store.files) {
		w.lastSeen = statFiles(s.files)
	}
	w.store = s
	w.current = current
	w.log.Info("a changed key store was reloaded", "store", s.description)
	return w.current
}

// statFiles returns one element for each file, nil if it is missing.
func statFiles(files []string) []os.FileInfo {
	var infos []os.FileInfo
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			info = nil
		}
		infos = append(infos, info)
	}
	return infos
}

func sameFile(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// latest returns the store that get has read last.
func (w *watched[T]) latest() *Store {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.store
}
