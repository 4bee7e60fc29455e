package code

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/culvert-project/culvert/host/internal/base/assert"
	"github.com/culvert-project/culvert/host/internal/base/require"
)

// answering is a module whose function f returns a number.
func answering(n byte) []byte {
	return slices.Concat([]byte("\x00asm\x01\x00\x00\x00"),
		[]byte{1, 5, 1, 0x60, 0, 1, 0x7f},         // a type: nothing to a number
		[]byte{3, 2, 1, 0},                        // a function of it
		[]byte{7, 5, 1, 1, 'f', 0, 0},             // which is f
		[]byte{10, 6, 1, 4, 0, 0x41, n & 63, 0xb}, // i32.const n
	)
}

// copying is one whose function f copies a number out of data that only its body names.
func copying(n byte) []byte {
	return slices.Concat([]byte("\x00asm\x01\x00\x00\x00"),
		[]byte{1, 5, 1, 0x60, 0, 1, 0x7f},
		[]byte{3, 2, 1, 0},
		[]byte{5, 3, 1, 0, 1}, // a page of memory
		[]byte{7, 5, 1, 1, 'f', 0, 0},
		[]byte{12, 1, 1}, // the count of data segments, which memory.init asks for
		[]byte{10, 19, 1, 17, 0, 0x41, 0, 0x41, 0, 0x41, 1, 0xfc, 8, 0, 0, 0x41, 0, 0x2d, 0, 0, 0xb},
		[]byte{11, 4, 1, 1, 1, n},
	)
}

// codeFolder is a folder of kept code, whose log is watched.
type codeFolder struct {
	t   *testing.T
	dir string
	log strings.Builder
}

func newCodeFolder(t *testing.T) *codeFolder { return &codeFolder{t: t, dir: t.TempDir()} }

// open opens it as another process does.
func (f *codeFolder) open() *codeCache {
	f.t.Helper()
	k, err := openCodeCache(&Cache{f.dir, slog.New(slog.NewTextHandler(&f.log, nil))})
	require.NoError(f.t, err)
	return k
}

// keep compiles a module and keeps it.
func (f *codeFolder) keep(k *codeCache, hash string, module []byte) {
	f.t.Helper()
	dir := f.t.TempDir()
	cache, _, err := engineCache(dir)
	require.NoError(f.t, err)
	runtime := wazero.NewRuntimeWithConfig(f.t.Context(), runtimeConfig(cache, 1))
	defer runtime.Close(f.t.Context())
	if _, err := runtime.CompileModule(f.t.Context(), module); err != nil {
		f.t.Fatal(err)
	}
	k.keep(f.t.Context(), hash, dir, module, 1)
}

// answer is what f returns in the module that is made of what is kept, -1 if nothing usable is.
func (f *codeFolder) answer(k *codeCache, hash string) int {
	f.t.Helper()
	ctx := f.t.Context()
	runtime := wazero.NewRuntimeWithConfig(ctx, runtimeConfig(k.cache, 1))
	defer runtime.Close(ctx)
	compiled := k.compiled(ctx, hash, runtime)
	if compiled == nil {
		return -1
	}
	m, err := runtime.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithName(""))
	require.NoError(f.t, err)
	found, err := m.ExportedFunction("f").Call(ctx)
	if err != nil {
		f.t.Fatalf("a stub ran: %v", err)
	}
	return int(found[0])
}

// answers expects an answer.
func (f *codeFolder) answers(k *codeCache, hash string, want int) {
	f.t.Helper()
	if got := f.answer(k, hash); got != want {
		f.t.Errorf("%s: expected %d, found %d; %s", hash, want, got, f.log.String())
	}
}

// What was compiled is used again by a process that has no bytes of the module, and one that has it already.
func TestKeptCode(t *testing.T) {
	f := newCodeFolder(t)
	f.keep(f.open(), "a", answering(42))
	f.keep(f.open(), "b", answering(41))
	f.keep(f.open(), "data", copying(43))
	k := f.open()
	for hash, want := range map[string]int{"a": 42, "b": 41, "data": 43, "c": -1} {
		for range 2 {
			f.answers(k, hash, want)
		}
	}
	if _, err := os.Lstat(k.links); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("expected the folder of links to be gone, found %v", err)
	}
	if f.log.Len() > 0 {
		t.Error(f.log.String())
	}
	// A folder of that name is another's, who may write there.
	require.NoError(t, os.Mkdir(k.links, 0o700))
	f.answers(k, "a", -1)
}

// On a file system without links the code is copied.
func TestKeptCodeWithoutLinks(t *testing.T) {
	f := newCodeFolder(t)
	f.keep(f.open(), "a", answering(42))
	k := f.open()
	k.linkFile = func(string, string) error { return errors.ErrUnsupported }
	f.answers(k, "a", 42)
	assert.Equal(t, "", f.log.String())
}

// A stub never runs: code that is missing, damaged or another module's is not used, and neither is what the engine
// makes of a stub where it looks for code under another name. Each is said once and made again.
func TestKeptCodeThatDoesNotFit(t *testing.T) {
	edit := func(t *testing.T, name string, change func([]byte) []byte) {
		t.Helper()
		data, err := os.ReadFile(name)
		if err == nil {
			err = os.WriteFile(name, change(data), 0o600)
		}
		require.NoError(t, err)
	}
	for name, damage := range map[string]func(t *testing.T, k *codeCache){
		"missing": func(t *testing.T, k *codeCache) { require.NoError(t, os.Remove(k.path("a"))) },
		"another module's": func(t *testing.T, k *codeCache) {
			other, err := os.ReadFile(k.path("b"))
			require.NoError(t, err)
			edit(t, k.path("a"), func([]byte) []byte { return other })
		},
		"cut off": func(t *testing.T, k *codeCache) {
			edit(t, k.path("a"), func(d []byte) []byte { return d[:len(d)-1] })
		},
		"another start": func(t *testing.T, k *codeCache) {
			edit(t, k.path("a"), func(d []byte) []byte { d[20] ^= 1; return d })
		},
		"under another name": func(t *testing.T, k *codeCache) {
			d := k.facts
			head, stub := codeHeadOf(d.Read(codeID("a", k.engine), stubKind))
			head.name = strings.Repeat("0", codeNameBytes)
			d.Keep(codeID("a", k.engine), stubKind, append(head.append(nil), stub...))
		},
		"of another version of the engine": func(t *testing.T, k *codeCache) {
			edit(t, k.path("a"), func(d []byte) []byte { d[7] ^= 1; return d })
			d := k.facts
			head, stub := codeHeadOf(d.Read(codeID("a", k.engine), stubKind))
			code, err := os.Open(k.path("a"))
			require.NoError(t, err)
			defer code.Close()
			head.sum, err = sumOf(code, head.size)
			require.NoError(t, err)
			d.Keep(codeID("a", k.engine), stubKind, append(head.append(nil), stub...))
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newCodeFolder(t)
			k := f.open()
			f.keep(k, "a", answering(42))
			f.keep(k, "b", answering(41))
			damage(t, k)
			if got := f.answer(k, "a"); got != -1 || strings.Count(f.log.String(), "compile cache is damaged") != 1 {
				t.Errorf("expected that nothing is used and one line says so, found %d; %s", got, f.log.String())
			}
			f.keep(k, "a", answering(42))
			f.answers(k, "a", 42)
		})
	}
}

// Code that cannot be read just now is good code: it stays, nobody hears that it is damaged, and it is used as soon
// as it can be read.
func TestKeptCodeThatCannotBeReadNow(t *testing.T) {
	for name, c := range map[string]struct {
		hinder func(t *testing.T, k *codeCache)
		mend   func(k *codeCache)
	}{
		"no folder for links": {
			func(t *testing.T, k *codeCache) { require.NoError(t, os.WriteFile(k.links, nil, 0o600)) },
			func(k *codeCache) { _ = os.Remove(k.links) },
		},
		"the disk is full": {
			func(_ *testing.T, k *codeCache) {
				k.linkFile = func(string, string) error { return &os.LinkError{Op: "link", Err: syscall.ENOSPC} }
				k.copyFile = func(string, string) error { return &fs.PathError{Op: "write", Err: syscall.ENOSPC} }
			},
			func(k *codeCache) { k.linkFile, k.copyFile = os.Link, copyFile },
		},
		"its bytes cannot be read": { // as those of a folder
			func(_ *testing.T, k *codeCache) {
				k.linkFile = func(_, to string) error { return os.Mkdir(to, 0o700) }
			},
			func(k *codeCache) { k.linkFile = os.Link },
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newCodeFolder(t)
			k := f.open()
			f.keep(k, "a", answering(42))
			c.hinder(t, k)
			f.answers(k, "a", -1)
			if log := f.log.String(); strings.Contains(log, "damaged") || strings.Count(log, "cannot be read") != 1 {
				t.Errorf("expected one line that it cannot be read, found %s", log)
			}
			c.mend(k)
			f.answers(k, "a", 42)
		})
	}
}

// Another process has put new code there and is about to write what tells its size and sum: the code stays.
func TestKeptCodeThatIsBeingMadeAnew(t *testing.T) {
	f := newCodeFolder(t)
	k := f.open()
	f.keep(k, "a", answering(41))
	old, err := os.ReadFile(k.facts.Path(codeID("a", k.engine), stubKind))
	require.NoError(t, err)
	f.keep(k, "a", copying(43))
	stub := k.facts.Path(codeID("a", k.engine), stubKind)
	after, err := os.ReadFile(stub)
	require.NoError(t, err)
	for _, step := range []struct {
		stub []byte
		want int
	}{{old, -1}, {after, 43}} {
		require.NoError(t, os.WriteFile(stub, step.stub, 0o600))
		f.answers(k, "a", step.want)
	}
}
