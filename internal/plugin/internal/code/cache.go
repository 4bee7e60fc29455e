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

// Cache stores the results of loading a module file: its [Facts], its metered form, and its compiled code. So a known
// file is not compiled again, and not started until needed. A nil Cache stores nothing. Processes may share a folder.
//
// Names contain a hash over everything that the results depend on. A file begins with a checksum over its name and
// content; damaged files are removed. A folder is a cache of wazero for one module.
type Cache struct {
	dir    string
	logger *slog.Logger
}

// factsFormat changes when [Facts] is stored differently.
const factsFormat = 5

func (c *Cache) key(hash string) string {
	return HashOf(fmt.Appendf(nil, "descriptions %d, preparation %d, contract %s, %+v: %s", factsFormat,
		PreparationVersion, wit.Version, Metering, hash))
}

const factsKind, preparedKind, codeKind = "json", "metered", "code" // endings of names

// Path returns the path of a module's file or folder of a kind.
func (c *Cache) Path(hash, kind string) string { return c.path(c.key(hash), kind) }

func (c *Cache) path(key, kind string) string { return filepath.Join(c.dir, "culvert-"+key+"."+kind) }

const checksumBytes = sha256.Size

func checksum(key, kind string, content []byte) [checksumBytes]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%s.%s: %d bytes, %08x", key, kind, len(content), crc32.Checksum(content,
		castagnoli)))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Read returns a file's content, nil if the file is missing or damaged.
func (c *Cache) Read(hash, kind string) []byte {
	if c == nil {
		return nil
	}
	key := c.key(hash)
	path := c.path(key, kind)
	data, err := readFile(path, maxCachedBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	switch {
	case err != nil: // logged below
	case len(data) <= checksumBytes:
		err = fmt.Errorf("it is truncated: expected more than the %d bytes of its checksum, found %d", checksumBytes,
			len(data))
	case checksum(key, kind, data[checksumBytes:]) == [checksumBytes]byte(data):
		return data[checksumBytes:]
	default:
		err = errors.New("its checksum is wrong")
	}
	c.logger.Warn("a file of the plugin cache is damaged; it is created again", "file", path, "error", err)
	_ = os.Remove(path)
	return nil
}

// Write writes a file atomically. It logs failures, which only make the next start slower.
func (c *Cache) Write(hash, kind string, content []byte) {
	if c == nil {
		return
	}
	key := c.key(hash)
	sum := checksum(key, kind, content)
	if err := wholefile.Write(c.path(key, kind), append(sum[:], content...)); err != nil {
		c.logger.Warn("the plugin cache cannot be written", "folder", c.dir, "error", err)
	}
}

// Facts holds the content of a module file, and the module's description of itself.
type Facts struct {
	Binary      binary.Module
	Description wit.Description
}

// Facts returns a module's facts, or nil. It marks the module's files as used.
func (c *Cache) Facts(hash string) *Facts {
	stored := c.Read(hash, factsKind)
	if stored == nil {
		return nil
	}
	f := &Facts{}
	if err := json.Unmarshal(stored, f); err != nil {
		return nil
	}
	c.touch(hash)
	return f
}

// StoreFacts stores facts, if JSON represents them without loss.
func (c *Cache) StoreFacts(hash string, f *Facts) {
	if c == nil {
		return
	}
	encoded, err := json.Marshal(f)
	decoded := &Facts{}
	if err == nil && json.Unmarshal(encoded, decoded) == nil && reflect.DeepEqual(f, decoded) {
		c.Write(hash, factsKind, encoded)
	}
}

// unusedLifetime is how long files stay after their last use; earlier versions of wazero leave some.
const unusedLifetime = 30 * 24 * time.Hour

func (c *Cache) touch(hash string) {
	now := time.Now()
	for _, kind := range []string{factsKind, preparedKind, codeKind} {
		_ = os.Chtimes(c.Path(hash, kind), now, now)
	}
}

// codeFolder returns a module's folder, from which it removes all but files and folders: opening a pipe would block.
func (c *Cache) codeFolder(hash string) (dir string, hasFiles bool) {
	dir = c.Path(hash, codeKind)
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil || e.IsDir(): // folders stay; the error ends the walk
		case e.Type().IsRegular():
			hasFiles = true
		default:
			c.logger.Warn("the compiled code of a plugin is damaged; the plugin is compiled again", "file", path,
				"expected", "a file", "found", e.Type())
			err = os.Remove(path)
		}
		return err
	})
	return dir, hasFiles
}

// RemoveUnused deletes files that were not used for [unusedLifetime].
func (c *Cache) RemoveUnused(now time.Time) {
	if c == nil {
		return
	}
	wholefile.Clean(c.dir)                                       // removes unfinished files
	files, _ := filepath.Glob(filepath.Join(c.dir, "culvert-*")) // the pattern is right
	for _, f := range files {
		if info, err := os.Lstat(f); err == nil && now.Sub(info.ModTime()) > unusedLifetime {
			_ = os.RemoveAll(f)
		}
	}
}

// HashOf returns the SHA-256 of data, in hex.
func HashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

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

// CheckPrivate rejects a folder or file that users other than this one and root can write to: its content is executed.
func CheckPrivate(info fs.FileInfo, user int) error {
	if runtime.GOOS == "windows" {
		return nil // which has no such modes
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("users other than its owner can write to it (%v): run chmod go-w", info.Mode().Perm())
	}
	if owner, ok := ownerOf(info); ok && owner != 0 && owner != user {
		return fmt.Errorf("it belongs to user %d, who can write to it, and this program runs as user %d", owner, user)
	}
	return nil
}
