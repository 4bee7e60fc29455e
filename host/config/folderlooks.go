package config

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/watch"
)

const (
	// lookEvery is how often a folder is looked at in any case: network drives and some mounts tell nobody what happens
	// to them, and an event may be lost.
	lookEvery = 5 * time.Second
	// returnLooks is for how many looks a file must be missing from a folder that is another one than before, until it
	// counts as deleted: files that are copied into it come one after the other.
	returnLooks = 20
)

// watchedFile is what is known of a file of a connector.
type watchedFile struct {
	stamp   string // of its contents at the last look; "" if it was not there
	missing int    // looks in a row that did not find it
	loaded  *Connector
	of      string // the stamp of what loaded was read from
}

// Watch calls changed with everything that is stored, first as it is and then after each change, from one goroutine,
// until ctx ends. Several changes may come as one. It calls changed again from time to time without a change, so that
// what was refused for the lack of something else, a secret or a plugin, has another chance.
func (s *FolderStore) Watch(ctx context.Context, changed func(Snapshot)) {
	listening := &listener{store: s}
	defer func() { listening.folders.Close() }()
	quiet, again := time.NewTimer(0), time.NewTicker(s.every)
	defer quiet.Stop()
	defer again.Stop()
	looking := true // a look is due by quiet
	for first := true; ; {
		listening.follow(s.linked())
		periodic := false
		select {
		case <-ctx.Done():
			return
		case <-listening.folders.Changed(): // which has waited already
			if !looking {
				looking = true
				quiet.Reset(0)
			}
			continue
		case <-s.kicks:
		case <-again.C:
			periodic = true
		case <-quiet.C:
			looking = false
			s.seen.mu.Lock()
			different, restless := s.look()
			s.begun.Store(true)
			asked, news := s.wasAsked()
			tell := different || asked || news || first && !restless
			var now Snapshot
			if tell {
				now = s.snapshot(asked)
			}
			s.seen.mu.Unlock()
			if tell {
				first = false
				changed(now)
			}
			if restless {
				looking = true
				quiet.Reset(s.settle)
			}
			continue
		}
		if periodic && !looking {
			s.seen.mu.Lock()
			s.retry()
			now := s.snapshot(false)
			s.seen.mu.Unlock()
			changed(now)
		}
		if !looking { // one that is due is not put off: a folder in which something always happens is looked at, too
			looking = true
			quiet.Reset(s.settle)
		}
	}
}

func (s *FolderStore) wasAsked() (asked, news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked, s.asked = s.asked, false
	news, s.news = s.news, false
	if asked {
		s.loadAgain(func(*Connector) bool { return true })
	}
	return asked, news
}

// retry reads again what had problems: what a reference leads to may be there now.
func (s *FolderStore) retry() {
	s.loadAgain(func(c *Connector) bool { return c.Problems.Err() != nil })
}

func (s *FolderStore) loadAgain(which func(*Connector) bool) {
	for _, f := range s.seen.files {
		if f.stamp != "" && f.loaded != nil && which(f.loaded) {
			f.loaded = s.load(f.loaded.File)
		}
	}
	for name, c := range s.seen.made {
		if which(c) {
			s.seen.made[name] = s.places.REST.connector(name, s.worker.Providers)
		}
	}
}

// load reads a connector's file.
func (s *FolderStore) load(path string) *Connector { return loadAny(path, s.worker.Providers) }

// look looks once. different: there is something new to tell; restless: another look has to follow soon.
func (s *FolderStore) look() (different, restless bool) {
	files, problem := s.list()
	if problem != nil {
		return s.found(Problems{*problem}), false
	}
	different = s.found(s.workersFile(files.Worker))
	there := make(map[string]bool, len(files.Connectors))
	for _, path := range files.Connectors {
		there[path] = true
		f := s.seen.files[path]
		if f == nil {
			f = &watchedFile{}
			s.seen.files[path] = f
		}
		news, more := s.lookAt(path, f)
		different, restless = different || news, restless || more
	}
	s.seen.looked = true
	for path, f := range s.seen.files {
		if there[path] {
			continue
		}
		f.stamp = ""
		if f.missing++; f.missing <= max(1, s.seen.returned) {
			restless = true
			continue
		}
		different = different || f.loaded != nil
		delete(s.seen.files, path)
	}
	if !restless {
		s.seen.returned = 0
	}
	return different, restless
}

// list finds the files of the folder. The problem is one for which all run on as they are.
func (s *FolderStore) list() (Files, *Problem) {
	dir := s.places.Folder
	if dir == "" {
		return Files{}, nil
	}
	files, err := ListFolder(dir)
	var identity fs.FileInfo
	if err == nil {
		identity, err = os.Stat(dir)
	}
	if err != nil {
		s.seen.identity = nil
		return files, &Problem{File: dir, Text: fmt.Sprintf("the folder of connectors can't be read, and all run "+
			"on as they are: %v", withoutPath(err))}
	}
	if s.seen.identity == nil || !os.SameFile(s.seen.identity, identity) {
		if len(s.seen.files) > 0 { // it was another one, or away
			s.seen.returned = returnLooks
		}
		if s.seen.returned > 0 && len(files.Connectors) == 0 {
			return files, &Problem{File: dir, Text: "the folder of connectors is another one than before, and " +
				"empty, as where a drive is not mounted: all run on as they are"}
		}
		s.seen.identity = identity
	}
	return files, nil
}

// found notes problems of no connector, and tells whether they are others than before.
func (s *FolderStore) found(problems Problems) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Equal(problems, s.now.Problems) {
		return false
	}
	s.now.Problems = problems
	return true
}

// lookAt looks at a file, and reads it when two looks in a row have found the same contents.
func (s *FolderStore) lookAt(path string, f *watchedFile) (different, restless bool) {
	stamp := watch.Stamp(path)
	f.missing = 0
	if stamp != f.stamp {
		f.stamp = stamp
		if !s.seen.looked { // the worker has begun with what was there, and its connector would pass for deleted
			f.loaded, f.of = s.load(path), stamp
		}
		return false, true
	}
	if f.loaded != nil && f.of == stamp {
		return false, false
	}
	c := s.load(path)
	if now := watch.Stamp(path); now != stamp { // while it was read
		f.stamp = now
		return false, true
	}
	f.loaded, f.of = c, stamp
	return true, false
}

// workersFile finds settings of the worker that differ from those that it runs with. A file that is half written says
// nothing.
func (s *FolderStore) workersFile(path string) Problems {
	if path == "" || path != s.worker.File {
		return nil
	}
	stamp := watch.Stamp(path)
	if stamp == s.seen.workers {
		return s.seen.workerAt
	}
	s.seen.workers, s.seen.workerAt = stamp, nil
	entries, problems, err := ReadFile(path)
	if err != nil || problems.Err() != nil {
		p := Problem{File: path, Warning: true,
			Text: "the worker's file can't be read any more, and the worker goes on with what it held"}
		s.seen.workerAt = Problems{p}
		return s.seen.workerAt
	}
	for _, e := range entries {
		if before, ok := entryOf(s.worker.layers.entries, e.Key); !ok || before.File == path && before.Raw != e.Raw {
			s.seen.workerAt = append(s.seen.workerAt,
				e.warning("has changed, which holds when the worker is started again"))
		}
	}
	for _, e := range s.worker.layers.entries {
		if _, there := entryOf(entries, e.Key); e.File == path && !there {
			e.Line = 1
			s.seen.workerAt = append(s.seen.workerAt,
				e.warning("was taken out of the file, which holds when the worker is started again"))
		}
	}
	return s.seen.workerAt
}

// linked are the folders of what files of the folder are links to.
func (s *FolderStore) linked() []string {
	s.seen.mu.Lock()
	defer s.seen.mu.Unlock()
	var dirs []string
	for path := range s.seen.files {
		if info, err := os.Lstat(path); err != nil || info.Mode()&fs.ModeSymlink == 0 {
			continue
		}
		if to := watch.Target(path); to != "" && filepath.Dir(to) != filepath.Dir(path) {
			dirs = append(dirs, filepath.Dir(to))
		}
	}
	return dirs
}

// listener hears of events in a folder, in the one around it, and in those that its files are links to. Where it can't,
// the looks that are taken from time to time have to do.
type listener struct {
	store   *FolderStore
	folders *watch.Folders
	failed  bool
}

// follow listens to the folder, which may be another one than it was under its name, and to more.
func (l *listener) follow(more []string) {
	if l.folders == nil && !l.failed {
		var err error
		if l.folders, err = watch.Open(watch.Options{Settle: l.store.settle, Logger: l.store.log}); err != nil {
			l.failed = true
			l.store.log.Warn("the folder of connectors is looked at from time to time only", "every", lookEvery,
				"error", err)
		}
	}
	if l.folders == nil {
		return
	}
	dirs := more
	if dir := l.store.places.Folder; dir != "" {
		dirs = append(dirs, dir, filepath.Dir(filepath.Clean(dir)))
		if real := watch.Target(dir); real != "" {
			dirs = append(dirs, real)
		}
	}
	slices.Sort(dirs)
	for _, dir := range slices.Compact(dirs) {
		_ = l.folders.Add(dir) // one that is away is found by a look
	}
}
