package lockouts

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/base/wholefile"
)

const (
	fileName = "refused-logons"
	// maxFile bounds a file, in bytes, maxRefusals its refusals. The older half is removed at the limit.
	maxFile, maxRefusals = 1 << 18, 1000
)

// errFormat is the end of each error of a file that this version cannot have written.
var errFormat = errors.New("a format that this version does not know: delete the file if no logon is refused at " +
	"present")

// refusalPattern matches a line of a file, also one whose write was interrupted.
var refusalPattern = regexp.MustCompile(`^[0-9]*( [0-9a-f]*)?$`)

// file stores refusals: a line with a salt, then lines with a time (ms) and a digest, which are appended so that
// processes can share it. Without a path it is in memory. Guarded by Store.mu.
type file struct {
	path      string
	lastRead  fs.FileInfo // of the file at the last read
	salt      []byte
	refusals  map[string]time.Time            // the file's content, by digest
	unwritten map[[sha256.Size]byte]time.Time // refusals that cannot be written, by slow hash
	isForeign bool                            // another process owns the file: it is only read, and removed by a resume
	// ownerErr is set if another user owns the file, who could remove refusals. Then no refusal is written.
	ownerErr error
}

// create creates the file with a new salt, unless it exists.
func (f *file) create() error {
	if _, err := os.Lstat(f.path); err == nil {
		return nil
	}
	salt := make([]byte, sha256.Size)
	rand.Read(salt)
	err := wholefile.Create(f.path, []byte("salt "+hex.EncodeToString(salt)+"\n"))
	if errors.Is(err, os.ErrExist) { // another process was first: its salt counts
		return nil
	}
	return err
}

// read reads the file if it has changed. A missing file has no refusals.
func (f *file) read() error {
	if f.path == "" {
		return nil
	}
	info, err := os.Stat(f.path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		f.lastRead = nil
		f.salt = nil
		f.refusals = nil
		f.ownerErr = nil
		return nil
	case err != nil:
		return err
	case f.lastRead != nil && os.SameFile(info, f.lastRead) && info.Size() == f.lastRead.Size() &&
		info.ModTime().Equal(f.lastRead.ModTime()):
		return nil
	}
	f.ownerErr = checkOwner(info)
	if f.ownerErr != nil {
		f.ownerErr = fmt.Errorf("%s: %w", f.path, f.ownerErr)
	}
	content, err := wholefile.Read(f.path, maxFile)
	if err != nil {
		return err
	}
	// The content replaces the last one only if all of it is valid.
	saltLine, lines, _ := strings.Cut(string(content), "\n")
	salt, err := hex.DecodeString(strings.TrimPrefix(saltLine, "salt "))
	if err != nil || len(salt) != sha256.Size {
		return fmt.Errorf("%s: expected a salt in the first line, found %w", f.path, errFormat)
	}
	refusals := map[string]time.Time{}
	for line := range strings.Lines(lines) {
		line = strings.TrimSpace(line)
		if strings.Contains(line, "\x00") { // bytes that did not reach the disk before a power failure
			continue
		}
		if !refusalPattern.MatchString(line) {
			return fmt.Errorf("%s: expected a time and a digest in each line, found %.100q, %w", f.path, line,
				errFormat)
		}
		since, digest, _ := strings.Cut(line, " ")
		if ms, err := strconv.ParseInt(since, 10, 64); err == nil && digest != "" {
			refusals[digest] = time.UnixMilli(ms)
		}
	}
	f.lastRead = info
	f.salt = salt
	f.refusals = refusals
	return nil
}

// digest returns the text for a secret in the file: half of a hash with the file's salt.
func (f *file) digest(s Secret) string {
	mac := hmac.New(sha256.New, f.salt)
	hash := s.Hash()
	mac.Write(hash[:])
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// find returns when a secret was refused, or zero. If the file of another process or user cannot be read, its last
// content counts, but no secret is sent if its format is unknown.
func (f *file) find(s Secret) (at time.Time, err error) {
	err = f.read()
	if (f.isForeign || f.ownerErr != nil) && !errors.Is(err, errFormat) {
		err = nil
	}
	if len(f.refusals) == 0 && len(f.unwritten) == 0 {
		return time.Time{}, err
	}
	return cmp.Or(f.refusals[f.digest(s)], f.unwritten[s.Hash()]), err
}

// add adds a refusal, which stays in memory if it cannot be written.
func (f *file) add(s Secret, at time.Time) error {
	err := f.append(s, at)
	if err != nil || f.path == "" {
		if f.unwritten == nil {
			f.unwritten = map[[sha256.Size]byte]time.Time{}
		}
		f.unwritten[s.Hash()] = at
	}
	return err
}

// append appends a refusal to the file, which must belong to this user. Without a path it does nothing.
func (f *file) append(secret Secret, at time.Time) error {
	if f.path == "" {
		return nil
	}
	if err := f.read(); err != nil {
		return err
	}
	if len(f.refusals) >= maxRefusals {
		times := slices.SortedFunc(maps.Values(f.refusals), time.Time.Compare)
		if _, err := f.forget(times[len(times)/2]); err != nil {
			return err
		}
	}
	if err := f.create(); err != nil {
		return err
	}
	if err := f.read(); err != nil {
		return err
	}
	if f.salt == nil {
		return fmt.Errorf("%s: another process has removed it just now: %w", f.path, fs.ErrNotExist)
	}
	out, err := os.OpenFile(f.path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	info, err := out.Stat()
	if err == nil {
		err = checkOwner(info)
	}
	if err == nil {
		// The line break is for an earlier write that may have been interrupted.
		_, err = fmt.Fprintf(out, "\n%d %s\n", at.UnixMilli(), f.digest(secret))
	}
	if err = errors.Join(err, out.Sync(), out.Close()); err == nil {
		f.refusals[f.digest(secret)] = at
	}
	return err
}

// forget removes refusals up to a time, or all if it is zero, and returns their number.
func (f *file) forget(until time.Time) (n int, err error) {
	if err := f.read(); err != nil {
		return 0, err
	}
	total := len(f.refusals) + len(f.unwritten)
	written := len(f.refusals)
	isForgotten := func(at time.Time) bool { return until.IsZero() || !at.After(until) }
	maps.DeleteFunc(f.unwritten, func(_ [sha256.Size]byte, at time.Time) bool { return isForgotten(at) })
	maps.DeleteFunc(f.refusals, func(_ string, at time.Time) bool { return isForgotten(at) })
	n = total - len(f.refusals) - len(f.unwritten)
	switch {
	case len(f.refusals) == written: // the file does not change
		return n, nil
	case len(f.refusals) == 0:
		return n, os.Remove(f.path)
	case f.isForeign: // only its owner rewrites it
		return n, nil
	}
	var text strings.Builder
	fmt.Fprintf(&text, "salt %x\n", f.salt)
	for digest, since := range f.refusals {
		fmt.Fprintf(&text, "%d %s\n", since.UnixMilli(), digest)
	}
	return n, wholefile.Write(f.path, []byte(text.String()))
}
