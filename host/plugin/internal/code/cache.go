package code

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/wholefile"
	"github.com/culvert-project/culvert/host/plugin/binary"
	"github.com/culvert-project/culvert/wit"
)

// Cache keeps what loading a file has found out, next to the compiled code ([codeCache]): what the file has
// and says of itself. With both, a file that was loaded before is neither read through nor rewritten nor compiled nor
// started until a connector needs it. nil keeps nothing.
//
// Its files are named by a hash over the original's and all that decides about the outcome, and begin with a checksum
// over that name and their content: one that is damaged, cut off, left by another version or put in another's place is
// as good as none. Whoever can write in the folder could write compiled code there, so a folder that others can write
// in is not used at all.
type Cache struct {
	dir    string
	logger *slog.Logger
}

// descriptionsFormat changes with what is in the files.
const descriptionsFormat = 5

// key names a file's results.
func (s *Cache) key(hash string) string {
	return HashOf(fmt.Appendf(nil, "descriptions %d, preparation %d, contract %s, %+v: %s", descriptionsFormat,
		Preparation, wit.Version, Metering, hash))
}

// Path is the file that keeps something of a kind under a hash.
func (s *Cache) Path(hash, kind string) string { return s.path(s.key(hash), kind) }

func (s *Cache) path(key, kind string) string {
	return filepath.Join(s.dir, "culvert-"+key+"."+kind)
}

const checksumBytes = sha256.Size

// checksum is over a file's name, and the length and CRC-32C of its content, which finds damage as the engine does in
// the compiled code next to it: a cryptographic hash of what is read at every start would cost more than reading it.
func checksum(key, kind string, content []byte) [checksumBytes]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%s.%s: %d bytes, %08x", key, kind, len(content), crc32.Checksum(content,
		castagnoli)))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Read returns what was kept, nil if there is nothing that can be trusted.
func (s *Cache) Read(hash, kind string) []byte {
	if s == nil {
		return nil
	}
	key := s.key(hash)
	path := s.path(key, kind)
	data, err := readFile(path, maxKeptBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	switch {
	case err != nil:
	case len(data) <= checksumBytes:
		err = fmt.Errorf("it is cut off: expected more than the %d bytes of its checksum, found %d", checksumBytes,
			len(data))
	case checksum(key, kind, data[checksumBytes:]) == [checksumBytes]byte(data):
		return data[checksumBytes:]
	default:
		err = errors.New("its checksum does not fit")
	}
	s.logger.Warn("a file of the plugin cache is damaged: it is made again", "file", path, "error", err)
	_ = os.Remove(path)
	return nil
}

// Keep writes a file, all of it or nothing. What cannot be kept costs time at the next start, no more.
func (s *Cache) Keep(hash, kind string, content []byte) {
	if s == nil {
		return
	}
	key := s.key(hash)
	sum := checksum(key, kind, content)
	err := wholefile.Replace(s.path(key, kind), append(sum[:], content...))
	if err != nil {
		s.logger.Warn("the plugin cache cannot be written", "folder", s.dir, "error", err)
	}
}

// Facts is what is kept of a module that was loaded: what was read off its bytes, and what it said of itself.
type Facts struct {
	Binary      binary.Module
	Description wit.Description
}

// Facts are those of a module, nil if they are not known.
func (s *Cache) Facts(hash string) *Facts {
	text := s.Read(hash, "json")
	if text == nil {
		return nil
	}
	f := &Facts{}
	if err := json.Unmarshal(text, f); err != nil {
		return nil
	}
	return f
}

// Remember keeps facts that can be read back as they were.
func (s *Cache) Remember(hash string, f *Facts) {
	if s == nil {
		return
	}
	text, err := json.Marshal(f)
	again := &Facts{}
	if err == nil && json.Unmarshal(text, again) == nil && reflect.DeepEqual(f, again) {
		s.Keep(hash, "json", text)
	}
}

// keptFor is how long files stay in the cache: those of plugins and engines that are no more go with the others, which
// are made again once they are needed. What was not finished goes after a day.
const (
	keptFor       = 30 * 24 * time.Hour
	unfinishedFor = 24 * time.Hour
)

// linksSuffix ends the names of folders with links to code.
const linksSuffix = ".links"

// Tidy deletes what is old. Others may use the folder at the same time: what they need of it they have read.
func (s *Cache) Tidy(now time.Time) {
	if s == nil {
		return
	}
	wholefile.Clean(s.dir)
	files, _ := filepath.Glob(filepath.Join(s.dir, "culvert-*")) // the pattern is right
	for _, f := range files {
		info, err := os.Lstat(f)
		if err != nil {
			continue
		}
		unfinished := slices.Contains([]string{".new", linksSuffix}, filepath.Ext(f))
		if age := now.Sub(info.ModTime()); age > keptFor || unfinished && age > unfinishedFor {
			_ = os.RemoveAll(f)
		}
	}
}

// HashOf is the SHA-256 of a file, in hex.
func HashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// private refuses a folder in which others than a user, and root, can write.
func private(dir string, user int) error {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return err
	}
	return Private(info, user)
}

// Private refuses a folder or file in which others than a user, and root, can write.
func Private(info fs.FileInfo, user int) error {
	if runtime.GOOS == "windows" {
		return nil // its modes say nothing
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("others than its owner can write there (%v): chmod go-w it", info.Mode().Perm())
	}
	if owner, known := ownerOf(info); known && owner != 0 && owner != user {
		return fmt.Errorf("it belongs to user %d, who can write there, and this program runs as user %d", owner, user)
	}
	return nil
}
