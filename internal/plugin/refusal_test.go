package plugin_test

import (
	"context"
	"encoding/hex"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/plugin/binary"
	"github.com/culvert-project/culvert/internal/plugin/guesttest"
	"github.com/culvert-project/culvert/internal/record"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/canon"
)

// module returns a valid plugin without code: every function is `unreachable`.
func module(interfaces ...string) guesttest.Module {
	m := guesttest.Module{MemoryPages: 1}
	for _, i := range interfaces {
		for _, f := range canon.Functions(i) {
			m.Exports = append(m.Exports, guesttest.Function{Name: f.Export(), Params: f.Params(),
				Results: f.Results()})
		}
	}
	i32 := byte(guesttest.I32)
	m.Exports = append(m.Exports, guesttest.Function{Name: "cabi_realloc", Params: []byte{i32, i32, i32, i32},
		Results: []byte{i32}})
	return m
}

func without(m guesttest.Module, names ...string) guesttest.Module {
	m.Exports = slices.DeleteFunc(slices.Clone(m.Exports),
		func(f guesttest.Function) bool { return slices.Contains(names, f.Name) })
	return m
}

// bytesOf returns the bytes of a module that is not addressable.
func bytesOf(m guesttest.Module) []byte { return m.Bytes() }

// modified returns m after the change.
func modified[T any](m T, change func(*T)) T { change(&m); return m }

// refusalCase is a module that is not loaded.
type refusalCase struct {
	module []byte
	want   []string // in the reason
}

func refusalCases(t *testing.T) map[string]refusalCase {
	t.Helper()
	plain := module(wit.InterfacePlugin, wit.InterfaceTransform)
	full := plain.Bytes()
	component, err := hex.DecodeString("0061736d0d000100")
	require.NoError(t, err)
	return map[string]refusalCase{
		"empty": {want: []string{"the file is empty: expected a core WebAssembly module"}},
		"text": {
			module: []byte("#!/bin/sh"),
			want:   []string{"not WebAssembly: expected the bytes 00 61 73 6d at the start, found 23 21 2f 62"},
		},
		"short": {module: full[:6], want: []string{"truncated: expected at least 8 bytes, found 6"}},
		"truncated": {
			module: full[:len(full)/2],
			want:   []string{"the file is truncated: section 7 at byte", "are left"},
		},
		"component": {
			module: component,
			want: []string{"a WebAssembly component: expected a core module",
				"wasm32-unknown-unknown instead of wasm32-wasip2", "jco transpile", "wasm-tools component unbundle"},
		},
		"version 2": {
			module: modified(append([]byte(nil), full...), func(b *[]byte) { (*b)[4] = 2 }),
			want:   []string{"found version 2 of layer 0"},
		},
		"older version": {
			module: guesttest.Static(wit.Description{}, "0.1.0"),
			want: []string{
				"built for version 0.1.0 of the contract culvert:connect: expected 0.3.0 (major.minor must match)",
				"in Go with the package sdk/go of this release", "bindings generated from its wit/culvert.wit"},
		},
		"0.2, whose names were others": {
			module: guesttest.Static(wit.Description{}, "0.2.0"),
			want: []string{"built for version 0.2.0", "expected 0.3.0",
				"`culvert reference guide/plugins` lists what changed in 0.3"},
		},
		"newer version": {
			module: guesttest.Static(wit.Description{}, "1.2.0"),
			want:   []string{"built for version 1.2.0 of the contract culvert:connect: expected 0.3.0"},
		},
		"other mangling": {
			module: bytesOf(modified(plain, func(m *guesttest.Module) {
				m.Exports = []guesttest.Function{{Name: "cm32p2|culvert:connect/plugin@0.3|describe"}}
			})),
			want: []string{`exports "cm32p2|culvert:connect/plugin@0.3|describe"`, "mangling cm32p2",
				`"culvert:connect/plugin@0.3.0#describe"`},
		},
		"no plugin": {
			module: bytesOf(guesttest.Module{MemoryPages: 1}),
			want:   []string{"not a plugin: expected exports of culvert:connect@" + wit.Version, "found none"},
		},
		"no plugin, built against": {
			module: bytesOf(guesttest.Module{MemoryPages: 1, Custom: map[string]string{
				"component-type:wit-bindgen:0.63.0:culvert:connect@0.3.0:transform-plugin:encoded world": "…"}}),
			want: []string{"not a plugin (built against culvert:connect 0.3.0)"},
		},
		"interface in part": {
			module: bytesOf(without(plain, wit.ExportName("transform", "apply"), wit.ExportName("transform",
				"test"))),
			want: []string{"exports are missing: culvert:connect/transform@0.3.0#apply, " +
				"culvert:connect/transform@0.3.0#test"},
		},
		"no describe": {
			module: bytesOf(without(plain, wit.ExportName("plugin", "describe"))),
			want:   []string{"exports are missing: culvert:connect/plugin@0.3.0#describe"},
		},
		"no allocator": {
			module: bytesOf(without(plain, "cabi_realloc")),
			want:   []string{"exports are missing: cabi_realloc"},
		},
		"no memory": {
			module: bytesOf(modified(plain, func(m *guesttest.Module) { m.MemoryPages = -1 })),
			want:   []string{"exports are missing: memory"},
		},
		"unknown import": {
			module: bytesOf(modified(plain, func(m *guesttest.Module) {
				m.Imports = []guesttest.Import{{Module: "env", Name: "open_socket"}, {Module: "wasi_snapshot_preview1",
					Name: "thread_spawn"}}
			})),
			want: []string{"imports functions that no plugin gets: env open_socket, " +
				"wasi_snapshot_preview1 thread_spawn"},
		},
		"host of another version": {
			module: bytesOf(modified(plain, func(m *guesttest.Module) {
				m.Imports = []guesttest.Import{{Module: "culvert:connect/host@0.1.0", Name: "log"}}
			})),
			want: []string{"culvert:connect/host@0.1.0 log", "available are log of culvert:connect/host@0.3.0"},
		},
		"signature": {
			module: bytesOf(modified(without(plain, prepareExport), func(m *guesttest.Module) {
				m.Exports = append(m.Exports, guesttest.Function{Name: prepareExport, Params: []byte{guesttest.I64},
					Results: []byte{guesttest.I32}})
			})),
			want: []string{"export culvert:connect/transform@0.3.0#prepare: expected the signature (i32 i32) -> " +
				"(i32), found (i64) -> (i32)"},
		},
		"memory beyond the limit": {
			module: bytesOf(modified(plain, func(m *guesttest.Module) { m.MemoryPages = 3000 })),
			want: []string{"the module needs at least 196608000 bytes of memory, 134217728 are allowed " +
				"(plugin.NAME.limits.memory.bytes)"},
		},
		"trap in describe": {module: full, want: []string{"describe: wasm error: unreachable"}},
		"invalid code": {
			module: bytesOf(modified(plain, func(m *guesttest.Module) {
				m.Exports = append(m.Exports, guesttest.Function{Name: "more", Body: []byte{0x6a}})
			})),
			want: []string{"the module does not compile"},
		},
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range refusalCases(t) {
		t.Run(name, func(t *testing.T) {
			m := checkRejected(t, plugin.Options{}, c.module, c.want...)
			info := m.Modules()[0]
			assert.Error(t, info.Err, info.Path)
			_, err := m.Bind("c", wit.ComponentTransformation, "rogue", "")
			assert.Error(t, err, "no plugin has the transformation rogue")
			assert.Error(t, err, c.want[0])
		})
	}
}

// A module that is truncated anywhere is rejected.
func TestTruncatedModulesAreRejected(t *testing.T) {
	m := module(wit.InterfacePlugin, wit.InterfaceTransform)
	full := m.Bytes()
	for n := range full {
		b, err := binary.Read(full[:n])
		if err == nil {
			_, err = b.CheckContract()
		}
		// Without its last section the rest is a valid module, but code is missing; the compiler detects that.
		assert.True(t, err != nil || n <= 0 || full[n] == 10, "cut off at %d of %d: accepted", n, len(full))
	}
}

func FuzzReadBinary(f *testing.F) {
	m := module(wit.InterfacePlugin)
	m.Imports = []guesttest.Import{{Module: "a", Name: "b"}}
	m.Custom = map[string]string{"component-type:x": "culvert:connect@0.3.0"}
	f.Add(m.Bytes())
	f.Add([]byte("\x00asm\x0d\x00\x01\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if b, err := binary.Read(data); err == nil {
			_, _ = b.CheckContract()
		}
	})
}

// The patch number of the contract's version is ignored; the functions keep the module's own names.
func TestPatchVersionIsIgnored(t *testing.T) {
	folder := folderWith(t, "x.wasm", guesttest.Static(wit.Description{Name: "patched", Version: "1"}, "0.3.7",
		wit.InterfaceSink))
	infos := manager(t, plugin.Options{}, folder).Modules()
	assert.True(t, len(infos) == 1 && infos[0].Err == nil && infos[0].Contract == "0.3.7" &&
		infos[0].Name == "patched" && len(infos[0].Interfaces) == 2,
		"expected one module of contract 0.3.7 with its name and two interfaces, found %+v", infos)
}

// A limit below the module's initial memory is reported with its setting, by the plugin's name if that is known.
func TestLimitBelowMinimum(t *testing.T) {
	options := plugin.Options{Settings: map[string]string{"plugin.all.limits.memory.bytes": "65536"}}
	checkRejected(t, options, guesttest.Bytes(t, allGuest),
		"bytes of memory, 65536 are allowed (plugin.all.limits.memory.bytes)")
	options.Registry = record.NewRegistry()
	options.Settings["plugin.all.limits.memory.bytes"] = "0"
	_, err := plugin.New(t.Context(), options)
	assert.Error(t, err, "Invalid value 0 for configuration plugin.all.limits.memory.bytes: ")
}

// A plugin in a folder overrides a built-in one of the same name and version.
func TestFolderOverridesEmbedded(t *testing.T) {
	folder := t.TempDir()
	put(t, folder, "mine.wasm", variant(t, "1.0.0", 1)) // an additional custom section changes the bytes
	embedded := fstest.MapFS{"plugins/all.wasm": {Data: variant(t, "1.0.0", 0)},
		"plugins/readme.txt": {Data: []byte("x")}}
	m := manager(t, plugin.Options{Embedded: embedded}, folder)
	found, err := m.Find(wit.ComponentSource, "AllSource", "")
	if err != nil || !strings.HasPrefix(found.Path, folder) {
		t.Fatal(err, found.Path, m.Modules())
	}
	var active []string
	for _, i := range m.Modules() {
		if i.Active {
			active = append(active, i.Path)
		}
	}
	assert.Equal(t, []string{found.Path}, active)
	_, err = m.Bind("c", wit.ComponentSource, "AllSource", "2.0.0")
	assert.Error(t, err, "source AllSource: expected version 2.0.0, found 1.0.0")
}

// Files that are not regular, or too large, are rejected unread; links to files are accepted, as Kubernetes mounts
// them.
func TestIrregularFilesAreRejected(t *testing.T) {
	folder := t.TempDir()
	elsewhere := t.TempDir()
	in := func(name string) string { return filepath.Join(folder, name) }
	put(t, elsewhere, "real", namedPlugin("mounted", "1.0.0", 0))
	huge, err := os.Create(in("huge.wasm"))
	if err == nil {
		err = errors.Join(huge.Truncate(10<<30), huge.Close())
	}
	socket, listenErr := net.Listen("unix", in("socket.wasm"))
	err = errors.Join(err, listenErr,
		os.Mkdir(in("folder.wasm"), 0o700),
		os.Symlink(in("folder.wasm"), in("link.wasm")),
		syscall.Mkfifo(in("pipe.wasm"), 0o600),
		os.Symlink("/dev/zero", in("zero.wasm")),
		os.Symlink(in("pipe.wasm"), in("piped.wasm")),
		os.Symlink(filepath.Join(elsewhere, "real"), filepath.Join(elsewhere, "..data")),
		os.Symlink(filepath.Join(elsewhere, "..data"), in("mounted.wasm")),
		os.Symlink(in("nothing"), in("dangling.wasm")),
		os.Symlink(in("circle.wasm"), in("circle.wasm")))
	require.NoError(t, err)
	defer socket.Close()
	put(t, folder, "all.wasm.txt", []byte("x"))
	put(t, folder, "all.WASM", variant(t, "1.0.0", 0))
	var errorsAndFiles []string
	for _, i := range manager(t, plugin.Options{}, folder).Modules() {
		if i.Err != nil {
			errorsAndFiles = append(errorsAndFiles, strings.ReplaceAll(i.Err.Error(), folder, ""))
		} else {
			errorsAndFiles = append(errorsAndFiles, filepath.Base(i.Path))
		}
	}
	want := []string{
		"/circle.wasm: stat /circle.wasm: too many levels of symbolic links",
		"/huge.wasm: expected a module of at most 67108864 bytes, found 10737418240",
		"/link.wasm: expected a file, found a folder",
		"/pipe.wasm: expected a file, found a pipe",
		"/piped.wasm: expected a file, found a pipe",
		"/socket.wasm: expected a file, found a socket",
		"/zero.wasm: expected a file, found a device",
		"all.WASM",
		"mounted.wasm",
	}
	assert.Equal(t, want, errorsAndFiles)
}

// Loading can be canceled, and does not affect running connectors.
func TestLoadingIsCanceled(t *testing.T) {
	folder := folderWith(t, "a.wasm", variant(t, "1.0.0", 0))
	m := manager(t, plugin.Options{CacheDir: t.TempDir()}, folder)
	binding := boundTo(t, m, "orders", wit.ComponentSource, "AllSource")
	put(t, folder, "large.wasm", slowToCompile(1))
	ctx, cancel := context.WithCancel(t.Context())
	loading := make(chan error, 1)
	go func() { loading <- m.Reload(ctx) }()
	assertWorks(t, binding.Current(), "1.0.0")
	cancel()
	assert.ErrorIs(t, <-loading, context.Canceled, "the context's error")
	for _, info := range m.Modules() {
		assert.True(t, info.Err == nil || errors.Is(info.Err, context.Canceled),
			"expected the file to wait for the next scan, found %v", info.Err)
	}
	require.NoError(t, m.Reload(t.Context()))
	bind(t, m, "x", "hostile") // it is loaded by the next scan
}
