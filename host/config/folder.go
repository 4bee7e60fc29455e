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

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/watch"
)

// FolderStore has the connectors of a folder, one file for each, as [ListFolder] finds them, and those that REST has
// made, which it keeps in a [ConnectorsFile]. Files in the folder belong to the users who write them: the store only
// reads them.
//
// A file counts when two looks, some time apart, find it alike, and as deleted when two looks do not find it: editors
// write another file and rename it, copy in pieces, delete and write again. Files that still change are taken as they
// were; they hold up no other.
type FolderStore struct {
	places Locations
	worker *Worker
	log    *slog.Logger
	every  time.Duration // lookEvery
	settle time.Duration // between two looks
	kicks  guard.Bell
	begun  atomic.Bool // the first look is over, whatever it found

	mu     sync.Mutex
	now    Snapshot
	asked  bool
	writes int  // see Stale
	news   bool // something was written since the last look

	// seen is what the looks have found.
	seen *seen
}

// seen is what the looks at the folders have found. Its lock is taken before that of the store, which may be taken
// under it. A file that is in files was there at one of the last looks; loaded is what counts of it.
type seen struct {
	mu       sync.Mutex
	files    map[string]*watchedFile
	made     map[string]*Connector // by REST, by name
	identity fs.FileInfo           // of the folder
	looked   bool                  // there was a first look
	returned int                   // looks until a file that is missing is believed to be
	workers  string                // stamp of the worker's file, and what was found of it
	workerAt Problems
}

// Locations are where a [FolderStore] finds and keeps connectors.
type Locations struct {
	// Folder is followed; "" for none.
	Folder string
	// Files are connectors whose files were named one by one: they stay as they were read.
	Files []*Connector
	// Made keeps what REST makes. A connector of Folder or of Named goes before one of the same name in it. Default:
	// kept in memory.
	REST *ConnectorsFile
	// TargetStates of connectors. Default: kept in memory.
	TargetStates *TargetStates
}

// NewFolderStore makes a store whose references are resolved by the worker's providers. Nothing is read before Watch.
func NewFolderStore(p Locations, w *Worker, log *slog.Logger) *FolderStore {
	if p.TargetStates == nil {
		p.TargetStates, _ = OpenTargetStates("") // which cannot fail
	}
	if p.REST == nil {
		p.REST, _ = OpenConnectorsFile("")
	}
	s := &FolderStore{places: p, worker: w, log: log, every: lookEvery, settle: watch.Settle,
		kicks: guard.NewBell(), seen: &seen{files: map[string]*watchedFile{}, made: map[string]*Connector{}}}
	for _, name := range p.REST.Names() {
		s.seen.made[name] = p.REST.connector(name, w.Providers)
	}
	return s
}

// Refresh has the folder looked at now, and everything in it read again.
func (s *FolderStore) Refresh() {
	s.mu.Lock()
	s.asked = true
	s.mu.Unlock()
	s.kicks.Ring()
}

// Snapshot is what is known now, with all that was written; ok is false before the first look.
func (s *FolderStore) Snapshot() (now Snapshot, ok bool) {
	s.seen.mu.Lock()
	defer s.seen.mu.Unlock()
	return s.snapshot(false), s.seen.looked
}

// Ready tells whether the first look is over, also where it found a folder that cannot be read. It never waits for a
// drive that hangs.
func (s *FolderStore) Ready() bool { return s.begun.Load() }

// IsStale tells whether something was written after a snapshot was made: another one follows.
func (s *FolderStore) IsStale(of Snapshot) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return of.writes != s.writes
}

// snapshot is what is known now; connectors are copies, since names that clash are noted in them.
func (s *FolderStore) snapshot(asked bool) Snapshot {
	var connectors, made []*Connector
	for _, c := range s.places.Files {
		connectors = append(connectors, c.copied())
	}
	for _, path := range slices.Sorted(maps.Keys(s.seen.files)) {
		if c := s.seen.files[path].loaded; c != nil {
			connectors = append(connectors, c.copied())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.seen.made)) {
		made = append(made, s.seen.made[name].copied())
	}
	all, hidden := layered(connectors, made)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now.Problems.Err() == nil {
		s.now.Connectors = all
	}
	s.now.Targets = s.places.TargetStates.All()
	now := s.now
	now.Problems = append(slices.Clone(now.Problems), hidden...)
	now.Requested, now.writes = asked, s.writes
	return now
}

// copied is a connector whose problems may be added to.
func (c *Connector) copied() *Connector {
	own := *c
	own.Problems = slices.Clone(c.Problems)
	return &own
}

// layered are connectors by name, those that REST made below the others: with a warning for each that another one of
// its name hides.
func layered(connectors, made []*Connector) (all []*Connector, hidden Problems) {
	all = namedApart(connectors)
	for _, c := range made {
		i := slices.IndexFunc(all, func(other *Connector) bool { return other.Name == c.Name })
		if i < 0 {
			all = append(all, c)
			continue
		}
		hidden = append(hidden, Problem{File: c.File, Warning: true,
			Text: fmt.Sprintf("has no effect: %s holds a connector of the same name, %s", all[i].File, c.Name)})
	}
	return all, hidden
}

// Stored is what is kept of a connector, by a [FolderStore] or in the topic of configurations ([TopicStore]), where
// both parts are records of their own. Parts that are nil or empty are not given.
type Stored struct {
	// Connector is what its user wrote.
	Connector *Connector
	// Target is the state that its user wants, by Kafka Connect's names in the config topic: STARTED, PAUSED or
	// STOPPED.
	Target string
	// IfMatch tells whether the version that is stored ([Connector.Version], "" for none) may be written over; else Put
	// is an [ChangedError]. nil: any.
	IfMatch func(version string) bool
}

// Snapshot is everything that a store holds at one time.
type Snapshot struct {
	// Connectors have names that differ. One with problems is not to run; what ran before it goes on.
	Connectors []*Connector
	// Targets are target states by the names of connectors, for those that have one.
	Targets map[string]string
	// Problems are those of no connector: a folder that is not there, a worker's file that has changed. With errors
	// among them Connectors are those of the time before.
	Problems Problems
	// Requested: somebody asked for it, by Look of the [Store], whether or not anything has changed.
	Requested bool

	// Offset is the offset after the last record that was read, of a [TopicStore]; the others below are nil, too,
	// where there is no topic. Written are offsets of the records that hold the connectors' settings, by name.
	Offset        int64
	ConfigOffsets map[string]int64
	// Tasks are those that count, by connector; those of a connector that is not in it have to be planned. Where a set
	// has a Version before the Written of its connector, the settings have changed since it was planned. Incomplete are
	// connectors of which compaction took tasks.
	Tasks      map[string]TaskConfigs
	Incomplete map[string]bool

	// writes is how often the store was written to before, stored what a topic has of connectors.
	writes int
	stored map[string]*topicConnector
}
