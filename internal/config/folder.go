package config

import (
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/culvert-project/culvert/internal/base/watch"
	"github.com/culvert-project/culvert/internal/guard"
)

// FolderStore has the connectors of a folder, one file each, and the connectors of another store, which REST created.
// It never writes to the folder.
//
// A file counts when two scans find the same content, and as deleted when two scans do not find it: editors write
// another file and rename it, copy in pieces, delete and write again. A changing file counts as before and delays no
// other.
type FolderStore struct {
	locations Locations
	worker    *Worker
	log       *slog.Logger
	interval  time.Duration // between periodic scans
	settle    time.Duration // between two scans of a change
	notify    guard.Bell
	ready     atomic.Bool // the first scan has ended

	mu               sync.Mutex
	current          Snapshot // of the last scan; its Connectors are the previous ones if it has errors
	refreshRequested bool     // by Refresh, for the next scan
	revision         int      // counts changes: scans with other results, and requests

	state *scanState
}

// scanState is the result of the scans. Its lock is taken before the store's.
type scanState struct {
	mu             sync.Mutex
	files          map[string]*watchedFile // the files of connectors, by path
	identity       fs.FileInfo             // of the folder
	scanned        bool                    // at least once
	graceScans     int                     // scans that a file of a replaced folder may miss; otherwise zero
	workerStamp    string                  // of the worker's file when it was checked
	workerProblems Problems
}

// Locations are the files of a [FolderStore].
type Locations struct {
	Folder string       // watched. Empty means no folder.
	Files  []*Connector // connectors whose files were named one by one. They are not read again.
	// Stored has the connectors that REST created, and the target states of all connectors. Nil means that there are
	// none, and that nothing is written.
	Stored Store
}

// NewFolderStore returns a store that resolves references with the worker's providers. It reads nothing before Watch.
func NewFolderStore(locations Locations, w *Worker, log *slog.Logger) *FolderStore {
	return &FolderStore{locations: locations, worker: w, log: log, interval: scanInterval, settle: watch.Settle,
		notify: guard.NewBell(), state: &scanState{files: map[string]*watchedFile{}}}
}

// Refresh scans the folder now and reads everything again.
func (s *FolderStore) Refresh() {
	if s.locations.Stored != nil {
		s.locations.Stored.Refresh()
	}
	s.mu.Lock()
	s.refreshRequested = true
	s.mu.Unlock()
	s.notify.Ring()
}

// Snapshot returns what is known, including all writes; ok is false before the first scan.
func (s *FolderStore) Snapshot() (snapshot Snapshot, ok bool) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	return s.snapshot(false), s.state.scanned
}

// Ready reports, without waiting, whether the first scan is over, even if the folder could not be read.
func (s *FolderStore) Ready() bool { return s.ready.Load() }

// IsStale reports whether something has changed after a snapshot, so that another one follows.
func (s *FolderStore) IsStale(snapshot Snapshot) bool {
	s.mu.Lock()
	snapshot.Revision -= s.revision // the rest is the revision of Stored, see snapshot
	s.mu.Unlock()
	if s.locations.Stored == nil {
		return snapshot.Revision != 0
	}
	return s.locations.Stored.IsStale(snapshot)
}

// snapshot merges the connectors of the last scan with the stored ones. Its revision is the sum of both
// revisions, which only grow. The caller holds the lock of scanState.
func (s *FolderStore) snapshot(requested bool) Snapshot {
	var connectors []*Connector
	for _, connector := range s.locations.Files {
		connectors = append(connectors, connector.Clone())
	}
	for _, path := range slices.Sorted(maps.Keys(s.state.files)) {
		if connector := s.state.files[path].loaded; connector != nil {
			connectors = append(connectors, connector.Clone())
		}
	}
	var stored Snapshot
	if s.locations.Stored != nil {
		stored, _ = s.locations.Stored.Snapshot()
	}
	merged, shadowed := mergeConnectors(connectors, stored.Connectors)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current.Problems.Err() == nil {
		s.current.Connectors = merged
	}
	snapshot := s.current
	snapshot.Targets = stored.Targets
	snapshot.Problems = append(slices.Clone(snapshot.Problems), shadowed...)
	snapshot.Requested = requested
	snapshot.Revision = s.revision + stored.Revision
	return snapshot
}

// Clone returns a copy to whose problems a caller may append. Entries are shared.
func (c *Connector) Clone() *Connector {
	clone := *c
	clone.Problems = slices.Clone(c.Problems)
	return &clone
}

// mergeConnectors appends the connectors created by REST to the connectors with files. shadowed are warnings about
// connectors with the name of a file's connector, which are omitted.
func mergeConnectors(connectors, fromREST []*Connector) (merged []*Connector, shadowed Problems) {
	merged = uniqueNames(connectors)
	for _, connector := range fromREST {
		i := slices.IndexFunc(merged, func(other *Connector) bool { return other.Name == connector.Name })
		if i < 0 {
			merged = append(merged, connector)
			continue
		}
		shadowed = append(shadowed, Problem{File: connector.File, Warning: true,
			Text: fmt.Sprintf("has no effect: %s contains a connector of the same name, %s", merged[i].File,
				connector.Name)})
	}
	return merged, shadowed
}
