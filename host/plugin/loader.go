package plugin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"

	"github.com/culvert-project/culvert/host/record"
)

// hashOf is the SHA-256 of a file, in hex.
func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// loader makes modules.
type loader struct {
	cache wazero.CompilationCache
	// dir is where the cache keeps its files, "" for memory only.
	dir      string
	limits   Limits
	named    map[string]Limits
	registry *record.Registry
	logger   *slog.Logger
}

// load recognises, compiles and describes a module. The error says what is wrong with the file, not which file.
func (l *loader) load(ctx context.Context, a *arrival) (*module, error) {
	binary, err := ReadBinary(a.data)
	if err != nil {
		return nil, err
	}
	found, err := binary.Judge()
	if err != nil {
		return nil, err
	}
	m := &module{binary: binary, loader: l, limits: l.widest(), again: a.again, info: Info{Hash: a.hash, Size: len(a.data),
		Origin: a.path, Contract: binary.Contract, Interfaces: found, Loaded: time.Now()}}
	prepared, err := prepareModule(a.data)
	if err != nil {
		return nil, err
	}
	if m.code, err = l.compile(ctx, m, prepared); err != nil {
		return nil, err
	}
	if err := m.describe(ctx); err != nil {
		m.rest()
		return nil, err
	}
	// Only now the name is known that limits are set by.
	own, ok := l.named[m.info.Name]
	if !ok {
		own = l.limits
	}
	before := m.limits
	if m.limits = own.filled(); m.limits.pages() != before.pages() {
		m.rest()
		if m.code, err = l.compile(ctx, m, prepared); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// purge deletes what the compile cache keeps on disk: files named by 64 hexadecimal digits in the engine's folders.
func (l *loader) purge() {
	files, _ := filepath.Glob(filepath.Join(l.dir, "wazero-*", strings.Repeat("[0-9a-f]", 64)))
	for _, f := range files {
		_ = os.Remove(f)
	}
}

// widest are limits under which any module that some setting allows can be asked for its name.
func (l *loader) widest() Limits {
	widest := l.limits.filled()
	for _, named := range l.named {
		widest.MemoryBytes = max(widest.MemoryBytes, named.filled().MemoryBytes)
		if named.call("describe") > widest.call("describe") {
			widest.CallMs = named.CallMs
		}
	}
	return widest
}
