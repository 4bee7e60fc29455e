package conversion

import "github.com/culvert-project/culvert/internal/record"

// Cache keeps what was made of schemas: at most max of them, and about [MaxCachedBytes]. What would be too much is put
// into an empty one, since a converter that meets so many schemas seldom meets the same again.
type Cache[K comparable, V any] struct {
	Of         map[K]V
	max, Bytes int
}

// NewCache makes a cache of at most max values.
func NewCache[K comparable, V any](max int) Cache[K, V] { return Cache[K, V]{Of: map[K]V{}, max: max} }

// Get is what is kept for a key, the zero value if nothing is.
func (c *Cache[K, V]) Get(key K) V { return c.Of[key] }

// Put keeps a value of so many bytes, about.
func (c *Cache[K, V]) Put(key K, value V, size int) {
	if len(c.Of) >= c.max || c.Bytes+size > MaxCachedBytes {
		clear(c.Of)
		c.Bytes = 0
	}
	c.Of[key] = value
	c.Bytes += size
}

// MaxCachedBytes is how many bytes, about, the schemas take that a converter keeps compiled in one direction;
// in addition to `schemas.cache.size`, which counts schemas. With more the converter forgets all and compiles again
// what comes.
const MaxCachedBytes = 64 << 20

// CompiledBytes is what the program or the reader of a schema takes, about.
func CompiledBytes(s *record.Schema) int {
	const node = 500
	return node*len(s.Nodes) + 2*s.Size
}
