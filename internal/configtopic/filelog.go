package configtopic

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/culvert-project/culvert/internal/base/wholefile"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/secret"
)

// FileLog is the [RecordWriter] of a worker without a group, which is its own leader: a file instead of the config
// topic. It has the connectors that REST created, and the target states that were set.
//
// The file has a header, then one line for each change: the CRC-32C of a [logChange], a space, its JSON.
//
// Invariants: the records of a change exist together or not at all. A change is applied once it is in the file for
// good; after a failed write it is cut off again. The file is written only if its size is as this FileLog left it. A
// record keeps its offset, also when the file is compacted, and no offset is used twice.
type FileLog struct {
	path       string
	maxSize    int64 // maxLogSize, less in tests
	compactMin int64 // minCompacted, less in tests
	apply      func(Record)
	// intercept is called before each step of a write, in tests. An error is the result of the step.
	intercept func(step logStep, content []byte) error

	mu            sync.Mutex
	validSize     int64                // of the header and the complete changes; zero means that there is no file
	fileSize      int64                // larger than validSize until an incomplete change is cut off
	compactedSize int64                // validSize after the last compaction; zero means none since the start
	next          int64                // the offset of the next record
	live          map[string]logRecord // the last record of each key, unless it deletes
	unknown       error                // not nil if it is unknown what the file contains: nothing is written any more
}

// logChange is a line of a [FileLog].
type logChange struct {
	Next    int64       `json:"next"` // the offset after the last record
	Records []logRecord `json:"records"`
}

type logRecord struct {
	Offset int64           `json:"offset"`
	Key    string          `json:"key"`
	Value  json.RawMessage `json:"value,omitempty"` // empty deletes
}

func (r logRecord) record() Record { return Record{Key: r.Key, Value: r.Value, Offset: r.Offset} }

// logStep is a step of a write.
type logStep string

const (
	stepReplace logStep = "replace" // a new file takes the place of the previous one
	stepAppend  logStep = "append"
	stepSync    logStep = "sync"
	stepCut     logStep = "cut" // an incomplete change is cut off
	stepSyncCut logStep = "sync of the cut"
)

const (
	logHeader    = "culvert connectors 1\n"
	maxLogSize   = 64 << 20
	minCompacted = 1 << 20 // bytes; a smaller file is not compacted
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// OpenFileLog reads a file, which may be missing. An incomplete last change is ignored: it was never confirmed. Damage
// before it is an error.
func OpenFileLog(path string) (*FileLog, error) {
	l := &FileLog{path: path, maxSize: maxLogSize, compactMin: minCompacted, live: map[string]logRecord{},
		intercept: func(logStep, []byte) error { return nil }}
	content, err := wholefile.Read(path, maxLogSize)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return l, nil
	case err != nil:
		return nil, err
	}
	l.fileSize = int64(len(content))
	if err := l.read(content); err != nil {
		return nil, fmt.Errorf("%s: %w: restore it from a backup; without it the connectors that REST created are "+
			"lost, and paused or stopped connectors run", path, err)
	}
	return l, nil
}

// read reads the changes of a file. The last one is incomplete if it has no end, or zeros in place of bytes that did
// not reach the disk.
func (l *FileLog) read(content []byte) error {
	if !bytes.HasPrefix(content, []byte(logHeader)) {
		return fmt.Errorf("expected a file that begins with %q, found something else", logHeader[:len(logHeader)-1])
	}
	l.validSize = int64(len(logHeader))
	for number := 2; l.validSize < int64(len(content)); number++ { // line 1 is the header
		line, remaining, isComplete := bytes.Cut(content[l.validSize:], []byte("\n"))
		isLast := len(remaining) == 0
		if isLast && (!isComplete || bytes.IndexByte(line, 0) >= 0) {
			return nil
		}
		change, err := decodeChange(line)
		if err == nil {
			err = l.check(change)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		l.accept(change)
		l.validSize += int64(len(line) + 1)
	}
	return nil
}

func decodeChange(line []byte) (change logChange, err error) {
	sum, document, _ := bytes.Cut(line, []byte(" "))
	if want := encodeSum(document); string(sum) != want {
		return change, fmt.Errorf("expected a change with the checksum %s, found another checksum", want)
	}
	return change, secret.UnmarshalJSON(document, &change)
}

func encodeSum(document []byte) string {
	return fmt.Sprintf("%08x", crc32.Checksum(document, castagnoli))
}

// check checks that a change follows the previous ones.
func (l *FileLog) check(change logChange) error {
	next := l.next
	for _, r := range change.Records {
		if r.Offset < next {
			return fmt.Errorf("expected an offset of at least %d, found %d", next, r.Offset)
		}
		next = r.Offset + 1
	}
	if change.Next < next {
		return fmt.Errorf("expected next to be at least %d, found %d", next, change.Next)
	}
	return nil
}

// accept records that a change is in the file.
func (l *FileLog) accept(change logChange) {
	l.next = change.Next
	applyTo(l.live, change)
}

// applyTo sets the live records after a change.
func applyTo(live map[string]logRecord, change logChange) {
	for _, r := range change.Records {
		delete(live, r.Key)
		if r.Value != nil {
			live[r.Key] = r
		}
	}
}

// OpenFileStore opens the store of a worker without a group, whose records are in a file, see [FileLog].
func OpenFileStore(path string, w *config.Worker, log *slog.Logger) (*Store, error) {
	l, err := OpenFileLog(path)
	if err != nil {
		return nil, err
	}
	s := NewStore(path, w, nil, log)
	for _, r := range sorted(l.live) {
		s.Apply(r.record())
	}
	if s.skipped+s.unknown > 0 {
		return nil, fmt.Errorf("%s: expected connectors and target states of this version, found other records", path)
	}
	if l.fileSize > l.validSize {
		log.Warn("the last change of stored connectors is incomplete and ignored: it was never confirmed", "file", path,
			"bytes", l.fileSize-l.validSize)
	}
	l.apply = s.Apply
	s.SetWriter(l)
	s.CaughtUp()
	return s, nil
}

// sorted returns records by offset.
func sorted(live map[string]logRecord) []logRecord {
	return slices.SortedFunc(maps.Values(live), func(a, b logRecord) int { return cmp.Compare(a.Offset, b.Offset) })
}

// ErrOutcomeUnknown is wrapped by the error of a change that may exist after a restart.
var ErrOutcomeUnknown = errors.New("the change could be neither stored nor undone, and may exist after a restart: " +
	"restart the worker, which accepts no changes until then")

// Write implements [RecordWriter]. An error that wraps [ErrOutcomeUnknown] leaves open whether the change exists; any
// other error means that it does not.
func (l *FileLog) Write(_ context.Context, _ bool, records ...Record) (last int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unknown != nil {
		return 0, l.unknown
	}
	change := logChange{Next: l.next}
	for _, r := range records {
		change.Records = append(change.Records, logRecord{Offset: change.Next, Key: r.Key, Value: r.Value})
		change.Next++
	}
	if err := l.store(change); err != nil {
		return 0, err
	}
	l.accept(change)
	for _, r := range change.Records {
		l.apply(r.record())
	}
	return l.next - 1, nil
}

func encodeChange(change logChange) []byte {
	document := encodeJSON(change)
	return fmt.Appendf(nil, "%s %s\n", encodeSum(document), document)
}

// store appends a change to the file. If there is no file, if it has doubled since its last compaction, or if the
// change does not fit, it writes a new file with the live records instead. After an error the change has no effect,
// unless l.unknown is set.
func (l *FileLog) store(change logChange) error {
	line := encodeChange(change)
	mustReplace := l.fileSize == 0 || l.validSize+int64(len(line)) > l.maxSize
	if err := l.checkSize(); err != nil {
		return err
	}
	if mustReplace || l.validSize >= max(l.compactMin, 2*l.compactedSize) {
		err := l.compact(change)
		if err == nil || mustReplace || l.unknown != nil { // else the change can still be appended
			return err
		}
	}
	return l.append(line)
}

// compact writes a new file with the live records after a change.
func (l *FileLog) compact(change logChange) error {
	live := maps.Clone(l.live)
	applyTo(live, change)
	content := append([]byte(logHeader), encodeChange(logChange{Next: change.Next, Records: sorted(live)})...)
	if int64(len(content)) > l.maxSize {
		return &config.TooLargeError{Text: fmt.Sprintf("expected at most %d bytes of connectors in %s, found %d",
			l.maxSize, l.path, len(content))}
	}
	return l.replace(content)
}

// replace writes a new file, or has no effect.
func (l *FileLog) replace(content []byte) error {
	err := l.intercept(stepReplace, content)
	if err == nil {
		err = wholefile.WriteSynced(l.path, content)
	}
	if err != nil {
		if sizeErr := l.checkSize(); sizeErr != nil {
			l.unknown = fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
			return l.unknown
		}
		return err
	}
	l.validSize = int64(len(content))
	l.fileSize = l.validSize
	l.compactedSize = l.validSize
	return nil
}

// checkSize checks that the file is as this FileLog has left it: locks may be missing, and then another worker, or a
// restored backup, would be overwritten.
func (l *FileLog) checkSize() error {
	size := int64(0)
	info, err := os.Stat(l.path)
	switch {
	case err == nil:
		size = info.Size()
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if size != l.fileSize {
		return fmt.Errorf("%s: expected %d bytes, as this worker has left them, found %d: stop other workers with "+
			"this data folder, then restart this one", l.path, l.fileSize, size)
	}
	return nil
}

// append appends a line to the file, or has no effect.
func (l *FileLog) append(line []byte) error {
	f, err := os.OpenFile(l.path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if l.fileSize > l.validSize {
		if err := l.cut(f); err != nil {
			return err
		}
	}
	err = l.intercept(stepAppend, line)
	if err == nil {
		_, err = f.WriteAt(line, l.validSize)
	}
	if err == nil {
		err = l.intercept(stepSync, nil)
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		l.validSize += int64(len(line))
		l.fileSize = l.validSize
		return nil
	}
	if cutErr := l.cut(f); cutErr != nil {
		l.unknown = fmt.Errorf("%w: %w", ErrOutcomeUnknown, errors.Join(err, cutErr))
		return l.unknown
	}
	return err
}

// cut cuts off what follows the last change that counts.
func (l *FileLog) cut(f *os.File) error {
	err := l.intercept(stepCut, nil)
	if err == nil {
		err = f.Truncate(l.validSize)
	}
	if err != nil {
		return err
	}
	l.fileSize = l.validSize // the next write syncs this, too
	if err := l.intercept(stepSyncCut, nil); err != nil {
		return err
	}
	return f.Sync()
}
