package config

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/watch"
	"github.com/culvert-project/culvert/host/internal/base/wholefile"
)

const (
	// lookEvery is how often a folder is looked at in any case: network drives and some mounts tell nobody what happens
	// to them, and an event may be lost.
	lookEvery = 5 * time.Second
	// movingLooks is after how many looks, settle apart, a file that never rests is warned of.
	movingLooks = 100
	// returnLooks is for how many looks a file must be missing from a folder that is another one than before, until it
	// counts as deleted: files that are copied into it come one after the other.
	returnLooks = 20
)

// FolderStore is a folder of files as a [Store], one file for each connector, as [Folder] finds them. What cannot be
// written there, or has no folder, goes into a second one, which is the worker's own.
//
// A file counts when two looks, some time apart, find it alike, and as deleted when two looks do not find it: editors
// write beside it and rename, copy in pieces, delete and write anew. Files that still change are taken as they were;
// they hold up no other.
type FolderStore struct {
	places Places
	worker *Worker
	log    *slog.Logger
	every  time.Duration // lookEvery
	settle time.Duration // between two looks
	kicks  chan struct{}
	begun  atomic.Bool // the first look is over, whatever it found

	mu     sync.Mutex
	now    Snapshot
	asked  bool
	writes int  // of files, see Stale
	news   bool // something was written since the last look

	// looking guards what follows; mu may be taken under it, not the other way round.
	looking  sync.Mutex
	files    map[string]*watchedFile
	identity fs.FileInfo // of the folder
	looked   bool        // there was a first look
	returned int         // looks until a file that is missing is believed to be
	workers  string      // stamp of the worker's file, and what was found of it
	workerAt Problems
}

// watchedFile is what is known of a file of a connector.
type watchedFile struct {
	stamp   string // at the last look; "" where it was not there
	same    int    // looks since then that found it alike
	moving  int    // looks in a row that did not
	missing int    // looks in a row that did not find it
	loaded  *Connector
	of      string // the stamp that loaded was read at
}

// Places are where a [FolderStore] finds and keeps connectors.
type Places struct {
	// Folder is followed; "" for none.
	Folder string
	// Named are connectors whose files were named one by one: they stay as they were read.
	Named []*Connector
	// Own is the worker's own folder, which need not be there; "" for none. A connector of Folder or of Named goes
	// before one of the same name in it.
	Own string
	// Targets of connectors. Default: kept in memory.
	Targets *Targets
	// Brought is what REST wrote, nil where that is not noted.
	Brought *Brought
}

// NewFolderStore makes a store whose references are resolved by the worker's providers. Nothing is read before Watch.
func NewFolderStore(p Places, w *Worker, log *slog.Logger) *FolderStore {
	if p.Targets == nil {
		p.Targets, _ = OpenTargets("") // which cannot fail
	}
	if p.Own != "" && p.Folder != "" && filepath.Clean(p.Own) == filepath.Clean(p.Folder) {
		p.Own = ""
	}
	return &FolderStore{places: p, worker: w, log: log, every: lookEvery, settle: watch.Settle,
		kicks: make(chan struct{}, 1), files: map[string]*watchedFile{}}
}

// isOwn tells whether a file is in the worker's own folder.
func (s *FolderStore) isOwn(path string) bool {
	return s.places.Own != "" && filepath.Dir(path) == filepath.Clean(s.places.Own)
}

// Look has the folder looked at now, and everything in it read again.
func (s *FolderStore) Look() {
	s.mu.Lock()
	s.asked = true
	s.mu.Unlock()
	s.kick()
}

func (s *FolderStore) kick() {
	select {
	case s.kicks <- struct{}{}:
	default:
	}
}

// Get is what the last look found.
func (s *FolderStore) Get(name string) (Stored, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.now.Connectors, func(c *Connector) bool { return c.Name == name })
	if i < 0 {
		return Stored{}, false
	}
	return Stored{Connector: s.now.Connectors[i], Target: s.places.Targets.Get(s.now.Connectors[i])}, true
}

// ErrKept is the error of a change of a connector whose file cannot be changed.
type ErrKept struct {
	Connector, File, Why string
}

func (e *ErrKept) Error() string {
	return fmt.Sprintf("Connector %s is kept in %s, %s: change it there", e.Connector, e.File, e.Why)
}

// Put writes a connector's file anew: the one that it has, in JSON where its ending is .json, else in properties;
// without one NAME.json, in the folder, or in the worker's own where there is none or it cannot be written. Comments of
// a file that is written anew are lost. It is replaced at once, never half, and holds as it was written when Put
// returns. A file that cannot be changed is an [ErrKept].
//
// A target state is kept before the file is written, so that what is to be stopped never runs; where the file cannot be
// written it is again what it was: a connector of that name that comes later has its own.
func (s *FolderStore) Put(_ context.Context, name string, stored Stored) error {
	undo := func() error { return nil }
	if stored.Target != "" {
		var err error
		if undo, err = s.places.Targets.try(name, stored.Target); err != nil {
			return err
		}
	}
	if stored.Connector == nil {
		s.kick()
		return nil
	}
	if err := s.putFile(name, stored.Connector); err != nil {
		return errors.Join(err, undo())
	}
	return nil
}

func (s *FolderStore) putFile(name string, c *Connector) error {
	s.looking.Lock()
	defer s.looking.Unlock()
	settings := c.Raw()
	settings["name"] = name
	var path string
	if err := s.places.Brought.while(c, func() (err error) {
		path, err = s.writeFile(name, settings)
		return err
	}); err != nil {
		return err
	}
	stamp := watch.Stamp(path)
	s.files[path] = &watchedFile{stamp: stamp, same: 1, loaded: s.load(path), of: stamp}
	s.wrote()
	return nil
}

// load reads a connector's file.
func (s *FolderStore) load(path string) *Connector {
	return loadAny(path, s.worker.Providers, s.places.Brought)
}

// writeFile writes the file of a connector, and returns its path.
func (s *FolderStore) writeFile(name string, settings map[string]string) (path string, err error) {
	path, err = s.file(name)
	switch {
	case err != nil:
	case path != "":
		// What stands beside the settings is not written again: it goes on to hold.
		if c := s.files[path].loaded; c.Initial != nil {
			if err = s.places.Targets.Set(name, s.places.Targets.Get(c)); err != nil {
				break
			}
		}
		if err = writeConnector(path, settings); unwritable(err) {
			return "", &ErrKept{name, path, "which cannot be written"}
		}
	default:
		path, err = s.writeNew(name, settings)
	}
	if err != nil {
		return "", fmt.Errorf("connector %s: %w", name, err)
	}
	return path, nil
}

// unwritable tells whether a place takes no files, whatever they hold.
func unwritable(err error) bool {
	// A file that is mounted by itself, into a container for example, can be neither replaced nor removed.
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.EBUSY) ||
		errors.Is(err, syscall.EXDEV)
}

// file is the file of a connector, "" where it has none; s.looking is held.
func (s *FolderStore) file(name string) (string, error) {
	for _, c := range s.places.Named {
		if c.Name == name {
			return "", &ErrKept{name, c.File, "which was named when the worker was started"}
		}
	}
	var files, own []string
	for path, f := range s.files {
		switch {
		case f.loaded == nil || f.loaded.Name != name:
		case s.isOwn(path):
			own = append(own, path)
		default:
			files = append(files, path)
		}
	}
	if len(files) == 0 {
		files = own
	}
	switch slices.Sort(files); len(files) {
	case 0:
		return "", nil
	case 1:
		return files[0], nil
	}
	return "", fmt.Errorf("expected it in one file, found it in %s", strings.Join(files, " and "))
}

// newFiles is how many names are tried for the file of a connector: there may be a file of that name with another
// connector in it.
const newFiles = 100

// writeNew writes a connector that has no file yet.
func (s *FolderStore) writeNew(name string, settings map[string]string) (path string, err error) {
	if s.places.Folder != "" {
		if path, err = newFile(s.places.Folder, name); err == nil {
			err = writeConnector(path, settings)
		}
		if s.places.Own == "" || !unwritable(err) {
			return path, err
		}
	}
	if s.places.Own == "" {
		return "", errors.New("there is no folder to keep it in")
	}
	if err := os.MkdirAll(s.places.Own, 0o700); err != nil {
		return "", err
	}
	if path, err = newFile(s.places.Own, name); err == nil {
		err = writeConnector(path, settings)
	}
	return path, err
}

func newFile(dir, name string) (string, error) {
	for n := range newFiles {
		path := filepath.Join(dir, fileName(name))
		if n > 0 {
			path += fmt.Sprintf("-%d", n+1)
		}
		path += ".json"
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			return path, nil
		} else if err != nil {
			return "", err
		}
	}
	return "", fmt.Errorf("%s has %d files of that name, with other connectors in them", dir, newFiles)
}

// wrote notes that files are others now; s.looking is held.
func (s *FolderStore) wrote() {
	s.mu.Lock()
	s.writes++
	s.news = true
	s.mu.Unlock()
	s.kick()
}

// Snapshot is what is known now, with all that was written; ok is false before the first look.
func (s *FolderStore) Snapshot() (now Snapshot, ok bool) {
	s.looking.Lock()
	defer s.looking.Unlock()
	return s.snapshot(false), s.looked
}

// Begun tells whether the first look is over, also where it found a folder that cannot be read. It never waits for a
// drive that hangs.
func (s *FolderStore) Begun() bool { return s.begun.Load() }

// Stale tells whether something was written after a snapshot was made: another one follows.
func (s *FolderStore) Stale(of Snapshot) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return of.writes != s.writes
}

// Holds tells what connector a file is known to hold, "" for none.
func (s *FolderStore) Holds(file string) string {
	s.looking.Lock()
	defer s.looking.Unlock()
	if f := s.files[file]; f != nil && f.loaded != nil {
		return f.loaded.Name
	}
	return ""
}

// fileName is a name for the file of a connector that stays in its folder and is no hidden one.
func fileName(connector string) string {
	name := url.PathEscape(connector)
	if strings.HasPrefix(name, ".") {
		name = "%2E" + name[1:]
	}
	if len(name) > maxFileName { // what is cut off stands in the file
		name = fmt.Sprintf("%s~%x", name[:maxFileName], sha256.Sum256([]byte(connector)))[:maxFileName+20]
	}
	return name
}

// maxFileName is how much of a connector's name stands in its file's, in bytes: file systems take 255, ending included.
const maxFileName = 200

// writeConnector replaces a file. The name of what is written first begins with a dot, which the folder passes over.
func writeConnector(path string, settings map[string]string) error {
	data, err := connectorFile(path, settings)
	if err != nil {
		return err
	}
	if err := readsAs(path, data, settings); err != nil {
		return err
	}
	return wholefile.Rewrite(path, data)
}

// connectorFile is what a file holds that is written.
func connectorFile(path string, settings map[string]string) (data []byte, err error) {
	if filepath.Ext(path) != ".properties" { // JSON is YAML, too
		return json.MarshalIndent(settings, "", "  ")
	}
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		data = append(data, PropertiesLine(key, settings[key])+"\n"...)
	}
	return data, nil
}

// ErrUnfit is the error of a configuration that a connector's file cannot hold: it has too many settings or bytes, or
// characters that there is no way to write.
type ErrUnfit struct{ text string }

func (e *ErrUnfit) Error() string { return e.text }

// readsAs checks that a file will be read as the settings that are written into it. The error is an [ErrUnfit].
func readsAs(path string, data []byte, settings map[string]string) error {
	if len(data) > MaxFileBytes {
		return &ErrUnfit{fmt.Sprintf("expected at most %d bytes in a file, found %d", MaxFileBytes, len(data))}
	}
	entries, problems := Read(path, data)
	if err := problems.Err(); err != nil {
		return &ErrUnfit{err.Error()}
	}
	found := make(map[string]string, len(entries))
	for _, e := range entries {
		found[e.Key] = e.Raw
	}
	if !maps.Equal(found, settings) {
		return &ErrUnfit{path + " would not be read as it is written: a key or a value has characters that files " +
			"cannot hold"}
	}
	return nil
}

// PropertiesLine is a setting as properties have it, so that it is read as it was.
func PropertiesLine(key, value string) string {
	return escaped(key, true) + "=" + escaped(value, false)
}

// escaped is a key or a value as properties have it, so that it is read as it was.
func escaped(text string, key bool) string {
	var b []rune
	for i, r := range []rune(text) {
		switch {
		case r == '\n':
			b = append(b, '\\', 'n')
		case r == '\r':
			b = append(b, '\\', 'r')
		case r == '\t':
			b = append(b, '\\', 't')
		case r == '\f':
			b = append(b, '\\', 'f')
		case r == '\\', key && (r == ':' || r == '=' || r == ' '), i == 0 && (r == '#' || r == '!' || r == ' '):
			b = append(b, '\\', r)
		default:
			b = append(b, r)
		}
	}
	return string(b)
}

// Delete removes a connector's file, in the worker's own folder too, and forgets its target state. A file that cannot
// be removed is an [ErrKept].
func (s *FolderStore) Delete(_ context.Context, name string) error {
	s.looking.Lock()
	defer s.looking.Unlock()
	path, err := s.file(name)
	switch {
	case err != nil:
		return fmt.Errorf("connector %s: %w", name, err)
	case path == "":
		return fmt.Errorf("connector %s: there is no file of it", name)
	}
	gone := []string{path}
	for other, f := range s.files { // one that stood behind it would come in its place
		if other != path && s.isOwn(other) && f.loaded != nil && f.loaded.Name == name {
			gone = append(gone, other)
		}
	}
	for _, path := range gone {
		switch err := wholefile.Remove(path); {
		case unwritable(err):
			return &ErrKept{name, path, "which cannot be removed"}
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("connector %s: %w", name, err)
		}
		delete(s.files, path)
		s.wrote()
	}
	return errors.Join(s.places.Targets.Forget(name), s.places.Brought.Forget(name))
}

// Watch is as [Store] says.
func (s *FolderStore) Watch(ctx context.Context, changed func(Snapshot)) {
	for _, folder := range []string{s.places.Folder, s.places.Own} {
		if folder != "" {
			wholefile.Clean(folder)
		}
	}
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
			s.looking.Lock()
			different, restless := s.look()
			s.begun.Store(true)
			asked, news := s.wasAsked()
			tell := different || asked || news || first && !restless
			var now Snapshot
			if tell {
				now = s.snapshot(asked)
			}
			s.looking.Unlock()
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
			s.looking.Lock()
			s.retry()
			now := s.snapshot(false)
			s.looking.Unlock()
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
		for _, f := range s.files {
			if f.stamp != "" && f.loaded != nil {
				f.loaded = s.load(f.loaded.File)
			}
		}
	}
	return asked, news
}

// retry reads again what had problems: what stands behind a reference may be there now.
func (s *FolderStore) retry() {
	for _, f := range s.files {
		if f.loaded != nil && f.loaded.Problems.Err() != nil {
			f.loaded = s.load(f.loaded.File)
		}
	}
}

// snapshot is what is known now; connectors are copies, since names that clash are noted in them.
func (s *FolderStore) snapshot(asked bool) Snapshot {
	copied := func(c *Connector) *Connector {
		own := *c
		own.Problems = slices.Clone(c.Problems)
		return &own
	}
	var connectors, own []*Connector
	for _, c := range s.places.Named {
		connectors = append(connectors, copied(c))
	}
	for _, path := range slices.Sorted(maps.Keys(s.files)) {
		switch c := s.files[path].loaded; {
		case c == nil:
		case s.isOwn(path):
			own = append(own, copied(c))
		default:
			connectors = append(connectors, copied(c))
		}
	}
	all, hidden := layered(connectors, own)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now.Problems.Err() == nil {
		s.now.Connectors = all
	}
	s.now.Targets = s.places.Targets.all()
	now := s.now
	now.Problems = append(slices.Clone(now.Problems), hidden...)
	now.Asked, now.writes = asked, s.writes
	return now
}

// layered are connectors by name, those of the worker's own folder below the others: with a warning for each that
// another one of its name hides.
func layered(connectors, own []*Connector) (all []*Connector, hidden Problems) {
	all = namedApart(connectors)
	named := make(map[string]*Connector, len(all))
	for _, c := range all {
		named[c.Name] = c
	}
	for _, c := range namedApart(own) {
		before := named[c.Name]
		if before == nil {
			all = append(all, c)
			continue
		}
		hidden = append(hidden, Problem{File: c.File, Warning: true,
			Text: fmt.Sprintf("has no effect: %s holds a connector of the same name, %s", before.File, c.Name)})
	}
	return all, hidden
}

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
		f := s.files[path]
		if f == nil {
			f = &watchedFile{}
			s.files[path] = f
		}
		news, more := s.lookAt(path, f)
		different, restless = different || news, restless || more
	}
	s.looked = true
	for path, f := range s.files {
		if there[path] {
			continue
		}
		f.stamp, f.same = "", 0
		if f.missing++; f.missing <= max(1, s.returned) {
			restless = true
			continue
		}
		different = different || f.loaded != nil
		delete(s.files, path)
	}
	if !restless {
		s.returned = 0
	}
	return different, restless
}

// list finds the files of both folders. The problem is one for which all run on as they are.
func (s *FolderStore) list() (Files, *Problem) {
	files, problem := s.listFolder()
	if s.places.Own == "" || problem != nil {
		return files, problem
	}
	own, err := Folder(s.places.Own)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return files, &Problem{File: s.places.Own, Text: fmt.Sprintf("the folder of connectors that were made by REST "+
			"can't be read, and all run on as they are: %v", withoutPath(err))}
	}
	files.Connectors = append(files.Connectors, own.Connectors...)
	return files, nil
}

// listFolder is list for the folder that is followed.
func (s *FolderStore) listFolder() (Files, *Problem) {
	dir := s.places.Folder
	if dir == "" {
		return Files{}, nil
	}
	files, err := Folder(dir)
	var identity fs.FileInfo
	if err == nil {
		identity, err = os.Stat(dir)
	}
	if err != nil {
		s.identity = nil
		return files, &Problem{File: dir, Text: fmt.Sprintf("the folder of connectors can't be read, and all run "+
			"on as they are: %v", withoutPath(err))}
	}
	if s.identity == nil || !os.SameFile(s.identity, identity) {
		for path := range s.files {
			if !s.isOwn(path) { // it was another one, or away
				s.returned = returnLooks
			}
		}
		if s.returned > 0 && len(files.Connectors) == 0 {
			return files, &Problem{File: dir, Text: "the folder of connectors is another one than before, and " +
				"empty, as where a drive is not mounted: all run on as they are"}
		}
		s.identity = identity
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

// lookAt looks at a file, and reads it when it has come to rest.
func (s *FolderStore) lookAt(path string, f *watchedFile) (different, restless bool) {
	stamp := watch.Stamp(path)
	f.missing = 0
	if stamp != f.stamp {
		f.stamp, f.same = stamp, 0
		if !s.looked { // the worker has begun with what was there: without it, its connector would pass for deleted
			f.loaded, f.of = s.load(path), stamp
		}
		if f.moving++; f.moving == movingLooks {
			s.log.Warn("a connector's file changes all the time: it counts when it rests, and until then as it was",
				"file", path)
		}
		return false, true
	}
	f.moving = 0
	if f.same++; f.loaded != nil && f.of == stamp {
		return false, false
	}
	c := s.load(path)
	if now := watch.Stamp(path); now != stamp { // while it was read
		f.stamp, f.same = now, 0
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
	if stamp == s.workers {
		return s.workerAt
	}
	s.workers, s.workerAt = stamp, nil
	entries, problems, err := ReadFile(path)
	if err != nil || problems.Err() != nil {
		p := Problem{File: path, Warning: true,
			Text: "the worker's file can't be read any more, and the worker goes on with what it held"}
		s.workerAt = Problems{p}
		return s.workerAt
	}
	for _, e := range entries {
		if before, ok := s.worker.given[e.Key]; !ok || before.File == path && before.Raw != e.Raw {
			s.workerAt = append(s.workerAt, e.warning("has changed, which holds when the worker is started again"))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.worker.given)) {
		e := s.worker.given[key]
		if e.File == path && !slices.ContainsFunc(entries, func(now Entry) bool { return now.Key == key }) {
			e.Line = 1
			s.workerAt = append(s.workerAt,
				e.warning("was taken out of the file, which holds when the worker is started again"))
		}
	}
	return s.workerAt
}

// linked are the folders of what files of the folder are links to.
func (s *FolderStore) linked() []string {
	s.looking.Lock()
	defer s.looking.Unlock()
	var dirs []string
	for path := range s.files {
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
	for _, dir := range []string{l.store.places.Folder, l.store.places.Own} {
		if dir == "" {
			continue
		}
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
