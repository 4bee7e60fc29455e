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
	"time"

	"github.com/culvert-project/culvert/internal/base/wholefile"
	"github.com/culvert-project/culvert/internal/plugin/binary"
	"github.com/culvert-project/culvert/wit"
)

// Cache keeps the results of loading a file: the module's [Facts], the module with its meter, and its compiled code. So
// a file that was loaded before is neither rewritten nor compiled again, and not started until a connector needs it. A
// nil Cache keeps nothing. Several processes may share a folder.
//
// Files and folders are named by a hash over the original's hash and everything that the results depend on. A file
// begins with a checksum over its name and content; a file whose checksum is wrong is removed. A folder is wazero's own
// cache of one module, with code for each version of wazero and kind of processor. The cache holds code that is run, so
// dir is not used if other users can write to it.
type Cache struct {
	dir    string
	logger *slog.Logger
}

const factsFormat = 5

func (s *Cache) key(hash string) string {
	return HashOf(fmt.Appendf(nil, "descriptions %d, preparation %d, contract %s, %+v: %s", factsFormat,
		PreparationVersion, wit.Version, Metering, hash))
}

// factsKind, preparedKind and codeKind are endings of names: a file with a module's [Facts], a file with its [Prepared]
// form, and a folder with its compiled code.
const factsKind, preparedKind, codeKind = "json", "metered", "code"

// Path returns the path of a module's file or folder of a kind.
func (s *Cache) Path(hash, kind string) string { return s.path(s.key(hash), kind) }

func (s *Cache) path(key, kind string) string {
	return filepath.Join(s.dir, "culvert-"+key+"."+kind)
}

const checksumBytes = sha256.Size

// checksum hashes a file's name, and the length and CRC-32C of its content.
func checksum(key, kind string, content []byte) [checksumBytes]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%s.%s: %d bytes, %08x", key, kind, len(content), crc32.Checksum(content,
		castagnoli)))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Read returns a file's content, nil if the file is missing or damaged.
func (s *Cache) Read(hash, kind string) []byte {
	if s == nil {
		return nil
	}
	key := s.key(hash)
	path := s.path(key, kind)
	data, err := readFile(path, maxCachedBytes)
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

// Keep writes a file atomically. A failure is logged; it costs time at the next start only.
func (s *Cache) Write(hash, kind string, content []byte) {
	if s == nil {
		return
	}
	key := s.key(hash)
	sum := checksum(key, kind, content)
	err := wholefile.Write(s.path(key, kind), append(sum[:], content...))
	if err != nil {
		s.logger.Warn("the plugin cache cannot be written", "folder", s.dir, "error", err)
	}
}

// Facts holds what was read from a module's bytes, and the module's description of itself.
type Facts struct {
	Binary      binary.Module
	Description wit.Description
}

// Facts returns a module's facts, nil if they are not known.
func (s *Cache) Facts(hash string) *Facts {
	text := s.Read(hash, factsKind)
	if text == nil {
		return nil
	}
	f := &Facts{}
	if err := json.Unmarshal(text, f); err != nil {
		return nil
	}
	s.touch(hash)
	return f
}

// Remember keeps facts, if JSON represents them without loss.
func (s *Cache) StoreFacts(hash string, f *Facts) {
	if s == nil {
		return
	}
	text, err := json.Marshal(f)
	again := &Facts{}
	if err == nil && json.Unmarshal(text, again) == nil && reflect.DeepEqual(f, again) {
		s.Write(hash, factsKind, text)
	}
}

// unusedLifetime is how long files and compiled code stay in the cache after their last use, so that those of removed
// plugins and of earlier versions of wazero are deleted.
const unusedLifetime = 30 * 24 * time.Hour

// touch marks the files of a module as used now, for [Cache.Tidy].
func (s *Cache) touch(hash string) {
	now := time.Now()
	for _, kind := range []string{factsKind, preparedKind, codeKind} {
		_ = os.Chtimes(s.Path(hash, kind), now, now)
	}
}

// codeFolder returns the folder for a module's compiled code, and whether it contains a file. It removes everything
// that is neither a file nor a folder: opening a pipe would block.
func (s *Cache) codeFolder(hash string) (dir string, hasFiles bool) {
	dir = s.Path(hash, codeKind)
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil || e.IsDir():
		case e.Type().IsRegular():
			hasFiles = true
		default:
			s.logger.Warn("the compiled code of a plugin is damaged: it is compiled again", "file", path, "expected",
				"a file", "found", e.Type())
			err = os.Remove(path)
		}
		return err
	})
	return dir, hasFiles
}

// Tidy deletes files that were not used for [unusedLifetime]. Other processes may use the folder at the same time: they
// have read the files that they need.
func (s *Cache) RemoveUnused(now time.Time) {
	if s == nil {
		return
	}
	wholefile.Clean(s.dir)
	files, _ := filepath.Glob(filepath.Join(s.dir, "culvert-*")) // the pattern is right
	for _, f := range files {
		if info, err := os.Lstat(f); err == nil && now.Sub(info.ModTime()) > unusedLifetime {
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
func preparePrivateFolder(dir string, user int) error {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return os.MkdirAll(dir, 0o700)
	}
	if err == nil && !info.IsDir() {
		err = errors.New("expected a folder")
	}
	if err != nil {
		return err
	}
	return CheckPrivate(info, user)
}

// Private refuses a folder or file in which others than a user, and root, can write.
func CheckPrivate(info fs.FileInfo, user int) error {
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
