package config

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/culvert-project/culvert/internal/base/watch"
	"github.com/culvert-project/culvert/internal/guard"
)

const (
	// scanInterval is the time between scans without events: network drives and some mounts report none.
	scanInterval = 5 * time.Second
	// graceScanCount is how many scans must miss a file of a replaced folder: files may be copied one by one.
	graceScanCount = 20
)

type watchedFile struct {
	stamp       string // of its contents at the last scan; "" if it was missing
	missing     int    // consecutive scans that did not find it
	loaded      *Connector
	loadedStamp string // of the contents that loaded was read from
}

// Watch implements [Store]. Calls without a change retry configurations that failed because a secret or a plugin was
// missing.
func (s *FolderStore) Watch(ctx context.Context, changed func(Snapshot)) {
	listening := &folderListener{store: s}
	defer func() { listening.folders.Close() }()
	w := &folderWatch{FolderStore: s, changed: changed, timer: time.NewTimer(0), scanDue: true}
	defer w.timer.Stop()
	periodic := time.NewTicker(s.interval)
	defer periodic.Stop()
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel() // also after a panic
	stored := guard.NewBell()
	if s.locations.Stored != nil {
		watching.Go(func() {
			defer guard.Recover(s.log, "following the connectors that REST created", nil)
			s.locations.Stored.Watch(ctx, func(Snapshot) { stored.Ring() })
		})
	}
	for {
		listening.follow(s.symlinkDirs())
		select {
		case <-ctx.Done():
			return
		case <-listening.folders.Changed(): // it has waited for the end of the changes
			w.scheduleScan(0)
		case <-s.notify:
			w.scheduleScan(s.settle)
		case <-stored:
			w.retryFailed()
		case <-periodic.C:
			if s.locations.Stored == nil && !w.scanDue { // Stored.Watch triggers retries as often
				w.retryFailed()
			}
			w.scheduleScan(s.settle)
		case <-w.timer.C:
			w.scanDue = false
			w.state.mu.Lock()
			different, unstable := w.scan()
			w.ready.Store(true)
			requested := w.consumeRequest(different)
			isFirst := !w.reported && !unstable
			report := different || requested || isFirst
			var snapshot Snapshot
			if report {
				snapshot = w.snapshot(requested)
			}
			w.state.mu.Unlock()
			if report {
				w.reported = true
				w.changed(snapshot)
			}
			if unstable {
				w.scheduleScan(w.settle)
			}
		}
	}
}

// folderWatch is the state of [FolderStore.Watch].
type folderWatch struct {
	*FolderStore
	changed  func(Snapshot)
	timer    *time.Timer // triggers a scan
	scanDue  bool        // timer runs
	reported bool        // changed was called after a scan
}

// scheduleScan does not delay a scan that is due: a folder that always changes must be scanned, too.
func (w *folderWatch) scheduleScan(after time.Duration) {
	if !w.scanDue {
		w.scanDue = true
		w.timer.Reset(after)
	}
}

// retryFailed reads connectors with errors again and reports a snapshot. Before the first report it does nothing,
// because connectors with files would count as deleted.
func (w *folderWatch) retryFailed() {
	if !w.reported {
		return
	}
	w.state.mu.Lock()
	w.reload(func(connector *Connector) bool { return connector.Problems.Err() != nil })
	snapshot := w.snapshot(false)
	w.state.mu.Unlock()
	w.changed(snapshot)
}

// consumeRequest reports whether Refresh was called since the last call. If so, it reads all files again. different is
// set if the scan has found a change.
func (s *FolderStore) consumeRequest(different bool) (requested bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	requested, s.refreshRequested = s.refreshRequested, false
	if different || requested {
		s.revision++
	}
	if requested {
		s.reload(func(*Connector) bool { return true })
	}
	return requested
}

// reload reads the files of the connectors that filter selects again. The caller holds the lock of scanState.
func (s *FolderStore) reload(filter func(*Connector) bool) {
	var paths []string
	for path, file := range s.state.files {
		if file.stamp != "" && file.loaded != nil && filter(file.loaded) {
			paths = append(paths, path)
		}
	}
	for i, connector := range loadAll(paths, s.worker.Providers) {
		s.state.files[paths[i]].loaded = connector
	}
}

// scan lists the folder and loads changed files. different reports whether connectors or problems have changed,
// unstable whether another scan must follow soon. The caller holds the lock of scanState.
func (s *FolderStore) scan() (different, unstable bool) {
	files, problem := s.listFiles()
	if problem != nil {
		return s.setGlobalProblems(Problems{*problem}), false
	}
	different = s.setGlobalProblems(s.checkWorkerFile(files.Worker))
	exists := make(map[string]bool, len(files.Connectors))
	var changed []string
	for _, path := range files.Connectors {
		exists[path] = true
		file := s.state.files[path]
		if file == nil {
			file = &watchedFile{}
			s.state.files[path] = file
		}
		isChanged, fileUnstable := s.scanFile(path, file)
		unstable = unstable || fileUnstable
		if isChanged {
			changed = append(changed, path)
		}
	}
	for i, connector := range loadAll(changed, s.worker.Providers) {
		file := s.state.files[changed[i]]
		isLoaded := file.setLoaded(connector)
		if !isLoaded && !s.state.scanned {
			file.loaded = connector // else it would count as deleted; the next scan loads it again
		}
		different = different || (isLoaded && s.state.scanned)
		unstable = unstable || !isLoaded
	}
	s.state.scanned = true
	for path, file := range s.state.files {
		if exists[path] {
			continue
		}
		file.stamp = ""
		file.missing++
		if file.missing <= max(1, s.state.graceScans) {
			unstable = true
			continue
		}
		different = different || file.loaded != nil
		delete(s.state.files, path)
	}
	if !unstable {
		s.state.graceScans = 0
	}
	return different, unstable
}

func (s *FolderStore) listFiles() (Files, *Problem) {
	dir := s.locations.Folder
	if dir == "" {
		return Files{}, nil
	}
	files, err := ListFolder(dir)
	var identity fs.FileInfo
	if err == nil {
		identity, err = os.Stat(dir)
	}
	if err != nil {
		s.state.identity = nil
		return files, &Problem{File: dir,
			Text: fmt.Sprintf("the folder of connectors cannot be read; all connectors continue unchanged: %v",
				withoutPathError(err))}
	}
	if s.state.identity == nil || !os.SameFile(s.state.identity, identity) {
		if len(s.state.files) > 0 { // it was another one, or missing
			s.state.graceScans = graceScanCount
		}
		if s.state.graceScans > 0 && len(files.Connectors) == 0 {
			return files, &Problem{File: dir,
				Text: "the folder of connectors was replaced by an empty one, for example because a drive is not " +
					"mounted; all connectors continue unchanged"}
		}
		s.state.identity = identity
	}
	return files, nil
}

// setGlobalProblems stores the problems that belong to no connector, and reports whether they have changed.
func (s *FolderStore) setGlobalProblems(problems Problems) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Equal(problems, s.current.Problems) {
		return false
	}
	s.current.Problems = problems
	return true
}

// scanFile reports whether a file must be loaded, and whether another scan must see it unchanged.
func (s *FolderStore) scanFile(path string, file *watchedFile) (isChanged, unstable bool) {
	stamp := watch.Stamp(path)
	file.missing = 0
	if stamp != file.stamp {
		file.stamp = stamp
		// The worker started with the files of the first scan; their connectors would count as deleted.
		return !s.state.scanned, true
	}
	return file.loaded == nil || file.loadedStamp != stamp, false
}

// setLoaded stores the connector that was read from the file and reports whether it did: not if the file has changed
// since the scan saw it.
func (f *watchedFile) setLoaded(connector *Connector) bool {
	if stamp := watch.Stamp(connector.File); stamp != f.stamp { // it changed during the read
		f.stamp = stamp
		return false
	}
	f.loaded = connector
	f.loadedStamp = f.stamp
	return true
}

// checkWorkerFile returns a warning for each setting of the worker's file that has changed since the worker read it.
func (s *FolderStore) checkWorkerFile(path string) Problems {
	if path == "" || path != s.worker.File {
		return nil
	}
	stamp := watch.Stamp(path)
	if stamp == s.state.workerStamp {
		return s.state.workerProblems
	}
	s.state.workerStamp = stamp
	s.state.workerProblems = nil
	entries, problems, err := ReadFile(path)
	if err != nil || problems.Err() != nil {
		p := Problem{File: path, Warning: true,
			Text: "the worker's file cannot be read anymore; the worker continues with its previous settings"}
		s.state.workerProblems = Problems{p}
		return s.state.workerProblems
	}
	for _, entry := range entries {
		previous, ok := lastEntry(s.worker.layers.entries, entry.Key)
		isChanged := previous.File == path && previous.Raw != entry.Raw
		if !ok || isChanged {
			s.state.workerProblems = append(s.state.workerProblems,
				entry.Warning("has changed: restart the worker to apply it"))
		}
	}
	for _, entry := range s.worker.layers.entries {
		if _, exists := lastEntry(entries, entry.Key); entry.File == path && !exists {
			entry.Line = 1
			s.state.workerProblems = append(s.state.workerProblems,
				entry.Warning("was removed from the file: restart the worker to apply it"))
		}
	}
	return s.state.workerProblems
}

// symlinkDirs returns the folders of files to which links in the folder of connectors point.
func (s *FolderStore) symlinkDirs() []string {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	var dirs []string
	for path := range s.state.files {
		if info, err := os.Lstat(path); err != nil || info.Mode()&fs.ModeSymlink == 0 {
			continue
		}
		if target := watch.Target(path); target != "" && filepath.Dir(target) != filepath.Dir(path) {
			dirs = append(dirs, filepath.Dir(target))
		}
	}
	return dirs
}

// folderListener receives events of the folder, its parent and the targets of its links.
type folderListener struct {
	store   *FolderStore
	folders *watch.Folders
	failed  bool
}

// follow adds the folder, its parent and the targets of links to the watched folders, which it opens at the first call.
func (l *folderListener) follow(linkTargets []string) {
	if l.folders == nil && !l.failed {
		var err error
		if l.folders, err = watch.Open(watch.Options{Settle: l.store.settle, Logger: l.store.log}); err != nil {
			l.failed = true
			l.store.log.Warn("changes in the folder of connectors are found by periodic scans only",
				"every", scanInterval, "error", err)
		}
	}
	if l.folders == nil {
		return
	}
	dirs := linkTargets
	if dir := l.store.locations.Folder; dir != "" {
		dirs = append(dirs, dir, filepath.Dir(filepath.Clean(dir)))
		if real := watch.Target(dir); real != "" {
			dirs = append(dirs, real)
		}
	}
	slices.Sort(dirs)
	for _, dir := range slices.Compact(dirs) {
		_ = l.folders.Add(dir) // a scan finds missing folders
	}
}
