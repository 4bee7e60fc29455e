package convert

// cache keeps what was made of schemas: at most max of them, and about [maxCachedBytes]. What would be too much is put
// into an empty one, since a converter that meets so many schemas seldom meets the same again.
type cache[K comparable, V any] struct {
	of         map[K]V
	max, bytes int
}

func newCache[K comparable, V any](max int) cache[K, V] { return cache[K, V]{of: map[K]V{}, max: max} }

// get is what is kept for a key, the zero value if nothing is.
func (c *cache[K, V]) get(key K) V { return c.of[key] }

// put keeps a value of so many bytes, about.
func (c *cache[K, V]) put(key K, value V, size int) {
	if len(c.of) >= c.max || c.bytes+size > maxCachedBytes {
		clear(c.of)
		c.bytes = 0
	}
	c.of[key] = value
	c.bytes += size
}
