package conversion

import "github.com/culvert-project/culvert/internal/record"

// Cache holds compiled schemas: at most maxEntries, and about [MaxCachedBytes]. When full it is emptied, because a
// converter that sees so many schemas rarely sees one again.
type Cache[K comparable, V any] struct {
	Entries    map[K]V
	maxEntries int
	Bytes      int // the sum of the sizes that Put received
}

// NewCache returns a cache of at most maxEntries values.
func NewCache[K comparable, V any](maxEntries int) Cache[K, V] {
	return Cache[K, V]{Entries: map[K]V{}, maxEntries: maxEntries}
}

// Get returns a cached value, or the zero value.
func (c *Cache[K, V]) Get(key K) V { return c.Entries[key] }

// Put adds a value of about size bytes. It first removes all others if the cache is full.
func (c *Cache[K, V]) Put(key K, value V, size int) {
	if len(c.Entries) >= c.maxEntries || c.Bytes+size > MaxCachedBytes {
		clear(c.Entries)
		c.Bytes = 0
	}
	c.Entries[key] = value
	c.Bytes += size
}

// MaxCachedBytes bounds a cache in bytes, in addition to schemas.cache.size.
const MaxCachedBytes = 64 << 20

// CompiledBytes estimates the memory of a compiled schema.
func CompiledBytes(s *record.Schema) int {
	const node = 500
	return node*len(s.Nodes) + 2*s.Size
}
