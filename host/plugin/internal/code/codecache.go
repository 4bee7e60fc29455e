package code

import (
	"context"
	"crypto/sha256"
	stdbinary "encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"

	"github.com/tetratelabs/wazero"
	"golang.org/x/sys/cpu"

	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/internal/base/wholefile"
	"github.com/culvert-project/culvert/host/plugin/binary"
)

// codeCache keeps the native code of modules in files, and makes compiled modules of them without their bytes: the
// engine gets a module's stub ([binary.Stub]) and finds the code of the module itself under the name that it looks for.
//
// A stub must never run: where the engine does not find the code, it compiles the stub. So the code is linked into a
// folder that only this process uses, for the time of one call, and counts as found if the folder holds that link and
// nothing else afterwards: an engine that compiles writes a file there.
type codeCache struct {
	facts *Cache
	// links is the folder for that, in which the engine has one of its own; it is there for that time alone, so that a
	// process that is killed leaves none. engine is the name of the engine's: its version and the platform.
	links, engine string
	// cache is the engine's, over links: what two modules have in common is in memory once.
	cache wazero.CompilationCache
	// linking is held while a link is there.
	linking sync.Mutex
	// linkFile is [os.Link], copyFile is [copyFile].
	linkFile, copyFile func(from, to string) error
}

const (
	// codeKind and stubKind end the names of files: of native code as the engine writes it, and of a stub after
	// [codeHead].
	codeKind, stubKind = "code", "stub"
	// codeNameBytes is the length of the names under which the engine keeps code: SHA-256 in hex.
	codeNameBytes = 64
	// codeStart and codeEnd are how many bytes of native code are looked at before it is used. The engine compares the
	// code itself with its checksum, which is at the end, but not where functions begin, which is at the start: of
	// 8,000 and fewer all is seen.
	codeStart, codeEnd = 64 << 10, 64
)

// codeHead is what is kept of native code next to a stub: the name that the engine looks for, the size of the code's
// file, and the SHA-256 of its start and end. A CRC would not do: that of bytes which their CRC follows is the
// same for all.
type codeHead struct {
	name string
	size int64
	sum  [sha256.Size]byte
}

const codeHeadBytes = codeNameBytes + 8 + sha256.Size

func (h *codeHead) append(dst []byte) []byte {
	dst = stdbinary.BigEndian.AppendUint64(append(dst, h.name...), uint64(h.size))
	return append(dst, h.sum[:]...)
}

// codeHeadOf reads a head, which is followed by the stub.
func codeHeadOf(data []byte) (h codeHead, stub []byte) {
	h = codeHead{string(data[:codeNameBytes]), int64(stdbinary.BigEndian.Uint64(data[codeNameBytes:])),
		[sha256.Size]byte(data[codeNameBytes+8:])}
	return h, data[codeHeadBytes:]
}

// openCodeCache opens the cache next to what is kept of modules.
func openCodeCache(facts *Cache) (*codeCache, error) {
	links, err := os.MkdirTemp(facts.dir, "culvert-*"+linksSuffix)
	if err != nil {
		return nil, err
	}
	k := &codeCache{facts: facts, links: links, linkFile: os.Link, copyFile: copyFile}
	k.cache, k.engine, err = engineCache(links)
	if err = errors.Join(err, os.RemoveAll(links)); err != nil {
		return nil, err
	}
	return k, nil
}

// engineCache opens a cache of the engine in an empty folder, and names the folder that the engine makes there.
func engineCache(dir string) (cache wazero.CompilationCache, engine string, err error) {
	if cache, err = wazero.NewCompilationCacheWithDir(dir); err != nil {
		return nil, "", err
	}
	made, err := os.ReadDir(dir)
	if err != nil || len(made) != 1 {
		return nil, "", fmt.Errorf("expected the engine to make one folder, found %d: %w", len(made), err)
	}
	return cache, made[0].Name(), nil
}

// codeID is what files are named by: native code is for an engine and a processor.
func codeID(hash, engine string) string { return hash + ", " + engine + ", " + processorOf() }

func (k *codeCache) path(hash string) string {
	return k.facts.Path(codeID(hash, k.engine), codeKind)
}

// compiled is the module whose file has a hash, in a runtime over k.cache; nil if its code is not kept, is damaged, or
// cannot be read now. It removes nothing: what is compiled then takes the place of what is damaged, and what does not
// fit its stub may be another process's, which is about to write the stub.
func (k *codeCache) compiled(ctx context.Context, hash string, runtime wazero.Runtime) wazero.CompiledModule {
	kept := k.facts.Read(codeID(hash, k.engine), stubKind)
	if len(kept) < codeHeadBytes {
		return nil
	}
	head, stub := codeHeadOf(kept)
	compiled, err := k.link(ctx, head, k.path(hash), func() (compiled wazero.CompiledModule, err error) {
		defer guard.Recover(k.facts.logger, "reading the code of a plugin", &err)
		return runtime.CompileModule(ctx, stub)
	})
	if err != nil && ctx.Err() == nil {
		what := "compile cache is damaged: it is made again"
		if _, ok := errors.AsType[syscall.Errno](err); ok && !errors.Is(err, fs.ErrNotExist) {
			what = "compile cache cannot be read: the plugin is compiled" // the code may be good
		}
		k.facts.logger.Warn(what, "error", err, "file", k.path(hash))
	}
	return compiled
}

// link has a stub compiled while its code is where the engine looks for it.
func (k *codeCache) link(ctx context.Context, head codeHead, path string,
	compile func() (wazero.CompiledModule, error)) (compiled wazero.CompiledModule, err error) {
	k.linking.Lock()
	defer k.linking.Unlock()
	if err := os.Mkdir(k.links, 0o700); err != nil { // one that is there is another process's
		return nil, err
	}
	defer os.RemoveAll(k.links)
	folder := filepath.Join(k.links, k.engine)
	if err := os.Mkdir(folder, 0o700); err != nil {
		return nil, err
	}
	at := filepath.Join(folder, head.name)
	if k.linkFile(path, at) != nil {
		if err := k.copyFile(path, at); err != nil { // as on a file system without links
			return nil, err
		}
	}
	code, before, err := wholefile.Open(at) // and held: no other file can look like it then
	if err != nil {
		return nil, err
	}
	defer code.Close()
	sum, err := sumOf(code, before.Size())
	if err == nil && (before.Size() != head.size || sum != head.sum) {
		err = fmt.Errorf("expected %d bytes whose start and end have the hash %x, found %d and %x", head.size,
			head.sum[:8], before.Size(), sum[:8])
	}
	if err != nil {
		return nil, err
	}
	if compiled, err = compile(); err != nil {
		return nil, err
	}
	only, err := onlyFile(folder)
	var after fs.FileInfo
	if err == nil {
		after, err = os.Lstat(only)
	}
	if err == nil && !os.SameFile(before, after) {
		err = errors.New("the engine did not take it")
	}
	if err != nil {
		_ = compiled.Close(context.WithoutCancel(ctx)) // it is the stub's own
		return nil, err
	}
	return compiled, nil
}

func copyFile(from, to string) error {
	f, _, err := wholefile.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, f)
	return errors.Join(err, out.Close())
}

// sumOf is the SHA-256 of the start and the end of a file of native code.
func sumOf(code io.ReaderAt, size int64) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	if _, err = io.Copy(h, io.NewSectionReader(code, 0, codeStart)); err == nil {
		_, err = io.Copy(h, io.NewSectionReader(code, max(0, size-codeEnd), codeEnd))
	}
	return [sha256.Size]byte(h.Sum(nil)), err
}

// keep keeps the code of a module of so many pages of memory at most, which was compiled by a cache of the engine in an
// otherwise empty folder. What cannot be kept costs time at the next start, no more.
func (k *codeCache) keep(ctx context.Context, hash, dir string, module []byte, pages uint32) {
	err := func() error {
		code, err := onlyFile(filepath.Join(dir, k.engine))
		if err != nil {
			return err
		}
		stub, err := binary.Stub(module)
		if err != nil {
			return err
		}
		head, err := k.headOf(ctx, code, stub, pages)
		if err != nil {
			return err
		}
		if err := os.Rename(code, k.path(hash)); err != nil {
			return err
		}
		k.facts.Keep(codeID(hash, k.engine), stubKind, append(head.append(nil), stub...))
		return nil
	}()
	if err != nil {
		k.facts.logger.Warn("the plugin cache cannot be written", "folder", k.facts.dir, "error", err)
	}
}

// headOf is that of a file of native code. The name that the engine looks for is found out by compiling the stub, since
// there is more in it than the engine tells.
func (k *codeCache) headOf(ctx context.Context, code string, stub []byte, pages uint32) (h codeHead, err error) {
	f, info, err := wholefile.Open(code)
	if err != nil {
		return h, err
	}
	defer f.Close()
	h.size = info.Size()
	if h.sum, err = sumOf(f, h.size); err != nil {
		return h, err
	}
	dir, err := os.MkdirTemp(k.facts.dir, "culvert-*.new")
	if err != nil {
		return h, err
	}
	defer os.RemoveAll(dir)
	cache, engine, err := engineCache(dir)
	if err != nil {
		return h, err
	}
	defer cache.Close(ctx)
	runtime := wazero.NewRuntimeWithConfig(ctx, runtimeConfig(cache, pages))
	defer runtime.Close(ctx)
	compiled, err := runtime.CompileModule(ctx, stub)
	if err != nil {
		return h, err
	}
	defer compiled.Close(ctx)
	made, err := onlyFile(filepath.Join(dir, engine))
	if h.name = filepath.Base(made); err == nil && len(h.name) != codeNameBytes {
		err = fmt.Errorf("expected a name of %d digits, found %q", codeNameBytes, h.name)
	}
	return h, err
}

// onlyFile is the path of the one file in a folder.
func onlyFile(dir string) (string, error) {
	files, err := os.ReadDir(dir)
	if err == nil && len(files) != 1 {
		err = fmt.Errorf("expected one file of the engine's, found %d", len(files))
	}
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, files[0].Name()), nil
}

// processorOf says what the engine uses of this processor, in which code that runs here may differ from code that does
// not. The engine's own names of files have it, too: a feature that is missing here costs time, no more.
func processorOf() string {
	x, a := cpu.X86, cpu.ARM64
	return fmt.Sprintf("%s sse4.1=%t bmi1=%t bmi2=%t popcnt=%t atomics=%t", runtime.GOARCH, x.HasSSE41, x.HasBMI1,
		x.HasBMI2,
		x.HasPOPCNT, a.HasATOMICS)
}

func runtimeConfig(cache wazero.CompilationCache, pages uint32) wazero.RuntimeConfig {
	return wazero.NewRuntimeConfig().WithCompilationCache(cache).WithMemoryLimitPages(pages).WithDebugInfoEnabled(true)
}
