package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"sync"

	"github.com/culvert-project/culvert/host/internal/base/wholefile"
)

// noted is what is kept of connectors by their names, in a file, so that it outlives the worker. All methods may be
// called at any time.
type noted[V any] struct {
	what, path string

	mu sync.Mutex
	of map[string]V
}

// openNoted reads the file, which need not be there; "" keeps all in memory. What it holds is in errors.
func openNoted[V any](what, path string) (*noted[V], error) {
	k := &noted[V]{what: what, path: path, of: map[string]V{}}
	if path == "" {
		return k, nil
	}
	data, _, err := readBounded(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return k, nil
	case err != nil:
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if err := json.Unmarshal(data, &k.of); err != nil {
		return nil, fmt.Errorf("%s: %s: expected names of connectors with what is noted of them: %w", what, path, err)
	}
	if k.of == nil { // it holds null
		k.of = map[string]V{}
	}
	return k, nil
}

// get is what is noted of a connector.
func (k *noted[V]) get(name string) (v V, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	v, ok = k.of[name]
	return v, ok
}

// change returns when the file says so for good. do changes the map alone, not what is in it.
func (k *noted[V]) change(do func(map[string]V)) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	next := maps.Clone(k.of)
	do(next)
	if reflect.DeepEqual(next, k.of) {
		return nil
	}
	if k.path != "" {
		data, err := json.MarshalIndent(next, "", "  ")
		if err != nil {
			return err
		}
		if len(data) > maxFileBytes {
			return fmt.Errorf("%s: expected at most %d bytes in %s, found %d", k.what, maxFileBytes, k.path, len(data))
		}
		if err := wholefile.ReplaceSynced(k.path, data); err != nil {
			return fmt.Errorf("%s: %w", k.what, err)
		}
	}
	k.of = next
	return nil
}

// forget takes out what is noted of a connector.
func (k *noted[V]) forget(name string) error {
	return k.change(func(next map[string]V) { delete(next, name) })
}

// all is everything that is noted.
func (k *noted[V]) all() map[string]V {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.of)
}
