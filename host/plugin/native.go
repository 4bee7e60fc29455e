package plugin

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/culvert-project/culvert/host/plugin/internal/code"
	"github.com/culvert-project/culvert/host/record"
)

// Native compiles a module and returns what is to lie next to it in [Options.Embedded], so that programs that embed
// both need not compile it where they run. The same module comes to the same bytes on processors of the same kind.
// before is what an earlier call returned, nil for nothing: where it is still good it is returned.
func Native(ctx context.Context, module, before []byte) ([]byte, error) {
	if good, err := code.StillGood(before, module); good || err != nil {
		return before, err
	}
	work, err := os.MkdirTemp("", "culvert-native-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	folder, cache := filepath.Join(work, "plugins"), filepath.Join(work, "cache")
	for _, dir := range []string{folder, cache} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(filepath.Join(folder, "plugin.wasm"), module, 0o600); err != nil {
		return nil, err
	}
	m, err := New(ctx, Options{Folders: []string{folder}, CacheDir: cache, Registry: record.NewRegistry(),
		Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	defer m.Close()
	for _, info := range m.Modules() {
		if info.Err != nil {
			return nil, info.Err
		}
	}
	return code.Pack(module, cache)
}
