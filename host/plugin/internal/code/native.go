package code

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// Native is what the compile cache comes to hold of a module, made when the program was built: native code, the
// module's stub and what the module says of itself. It lies next to the module as NAME.native next to NAME.wasm, so
// it is as much a part of the program as its own code. It is laid into the cache where it is missing there and was made
// for this engine and this processor.
//
// Its form is a line of JSON, [nativeHead], and the files one after the other, each compressed by Zstandard.
type Native struct {
	head nativeHead
	// data is everything, of which the files begin at start.
	data  io.ReaderAt
	start int64
}

type nativeHead struct {
	// Module is the hash of the module's file, Size its size and CRC its CRC-32C, which tell in a tenth of the time
	// that it is this file: both are parts of one program, so that nobody gains by making one that passes for it.
	Module string
	Size   int64
	CRC    uint32
	// Engine and Processor say what the code is for, see [engineOf] and [processorOf].
	Engine, Processor string
	Files             []nativeFile
}

type nativeFile struct {
	// Name is the file's in the cache, with slashes; Packed its length here.
	Name   string
	Packed int64
}

// maxNativeHead bounds the first line.
const maxNativeHead = 1 << 16

// nativeSuffix ends the names of files with native code.
const nativeSuffix = ".native"

// Native opens what lies next to a module that comes with the program, nil where there is nothing that fits, or nothing
// is kept.
func (l *Compiler) Native(files fs.FS, module string) *Native {
	if l.codes == nil {
		return nil
	}
	engine, log := l.codes.engine, l.logger
	name := strings.TrimSuffix(module, path.Ext(module)) + nativeSuffix
	f, err := files.Open(name)
	if err != nil {
		return nil // as in a program for another platform than the one that it was built on
	}
	at, ok := f.(io.ReaderAt)
	if !ok {
		return nil
	}
	line, err := bufio.NewReader(io.NewSectionReader(at, 0, maxNativeHead)).ReadBytes('\n')
	n := &Native{data: at, start: int64(len(line))}
	if err == nil {
		err = json.Unmarshal(line, &n.head)
	}
	var size int64
	crc := crc32.New(castagnoli)
	if err == nil {
		size, err = SumFile(files, module, crc)
	}
	switch h := n.head; {
	case err != nil:
	case h.Size != size || h.CRC != crc.Sum32():
		err = errors.New("it belongs to another file")
	case h.Engine != engine || h.Processor != processorOf():
		log.Info("the native code of a plugin that comes with the program is for another processor or engine: the "+
			"plugin is compiled, once",
			"plugin", module, "expected", engine+", "+processorOf(), "found", h.Engine+", "+h.Processor)
		return nil
	default:
		return n
	}
	log.Warn("native code that comes with the program cannot be used: the plugin is compiled, once", "plugin", module,
		"error", err)
	return nil
}

// File is the hash and the size of the module that it was made of.
func (n *Native) File() (hash string, size int64) { return n.head.Module, n.head.Size }

// Lay puts the files whose names end as said, "" for all, into the cache where they are missing there. What cannot be
// laid costs time, no more.
func (n *Native) Lay(s *Cache, suffix string) {
	if n == nil || s == nil {
		return
	}
	at := n.start
	for _, f := range n.head.Files {
		begin := at
		at += f.Packed
		if !strings.HasSuffix(f.Name, suffix) || !filepath.IsLocal(f.Name) {
			continue
		}
		to := filepath.Join(s.dir, filepath.FromSlash(f.Name))
		if _, err := os.Lstat(to); err == nil {
			continue
		}
		if err := unpack(io.NewSectionReader(n.data, begin, f.Packed), s.dir, to); err != nil {
			s.logger.Warn("the plugin cache cannot be written", "folder", s.dir, "error", err)
			return
		}
	}
}

// unpack writes a file, all of it or nothing. dir is on the same file system.
func unpack(packed io.Reader, dir, to string) error {
	z, err := zstd.NewReader(packed)
	if err != nil {
		return err
	}
	defer z.Close()
	f, err := os.CreateTemp(dir, "culvert-*.new")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := io.Copy(f, z); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	return os.Rename(f.Name(), to)
}

// engineOf is the name of the folder in which the engine keeps code below that of a cache: its version and the
// platform. Code of another one is never read.
func engineOf() (string, error) {
	tried, err := os.MkdirTemp("", "culvert-engine-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tried)
	cache, engine, err := engineCache(tried)
	if err != nil {
		return "", err
	}
	return engine, cache.Close(context.Background())
}

// StillGood reports whether native code is what would be made of a module now.
func StillGood(before, module []byte) (bool, error) {
	line, _, found := bytes.Cut(before, []byte{'\n'})
	var head nativeHead
	if !found || json.Unmarshal(line, &head) != nil {
		return false, nil
	}
	engine, err := engineOf()
	if err != nil {
		return false, err
	}
	hash := HashOf(module)
	stub := (&Cache{}).Path(codeID(hash, engine), stubKind)
	return head.Module == hash && head.CRC == crc32.Checksum(module, castagnoli) &&
		head.Engine == engine && head.Processor == processorOf() &&
		slices.ContainsFunc(head.Files, func(f nativeFile) bool { return f.Name == stub }), nil
}

// Pack packs the files of a cache that holds one module.
func Pack(module []byte, cache string) ([]byte, error) {
	engine, err := engineOf()
	if err != nil {
		return nil, err
	}
	head := nativeHead{Module: HashOf(module), Size: int64(len(module)), CRC: crc32.Checksum(module, castagnoli),
		Engine: engine, Processor: processorOf()}
	var body bytes.Buffer
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	err = fs.WalkDir(os.DirFS(cache), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := os.ReadFile(filepath.Join(cache, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		packed := z.EncodeAll(content, nil)
		head.Files = append(head.Files, nativeFile{name, int64(len(packed))})
		body.Write(packed)
		return nil
	})
	if err != nil {
		return nil, err
	}
	line, err := json.Marshal(head)
	if err != nil || len(line) >= maxNativeHead {
		return nil, fmt.Errorf("%d bytes of a head: %w", len(line), err)
	}
	return append(append(line, '\n'), body.Bytes()...), nil
}
