package feedreader

import (
	"slices"

	"github.com/culvert-project/culvert/wit"
)

// Cache keeps unpacked contexts, the most recently used first.
type Cache struct{ entries []cacheEntry }

type cacheEntry struct {
	context string
	value   *Context
}

// maxCompiled limits the feeds of all contexts except the two most recent ones. A feed has about 15 KB.
const maxCompiled = 256

// Get returns the context, unpacked if needed. It returns the errors of [UnpackContext].
func (c *Cache) Get(context []byte) (*Context, error) {
	for i := range c.entries {
		if entry := c.entries[i]; entry.context == string(context) {
			if i > 0 {
				copy(c.entries[1:i+1], c.entries[:i])
				c.entries[0] = entry
			}
			return entry.value, nil
		}
	}
	unpacked, err := UnpackContext(context)
	if err != nil {
		return nil, err
	}
	c.entries = slices.Insert(c.entries, 0, cacheEntry{string(context), unpacked})
	feedCount := 0
	for i, entry := range c.entries {
		feedCount += len(entry.value.Feeds)
		if i >= 2 && feedCount > maxCompiled {
			clear(c.entries[i:])
			c.entries = c.entries[:i]
			break
		}
	}
	return unpacked, nil
}

// Feed returns a context and one of its feeds.
func (c *Cache) Feed(context []byte, number uint32) (*Context, *Feed, error) {
	unpacked, err := c.Get(context)
	if err != nil {
		return nil, nil, err
	}
	if int(number) >= len(unpacked.Feeds) {
		return nil, nil, &wit.Error{Kind: wit.ErrorInternal, Message: "no feed of that number"}
	}
	return unpacked, &unpacked.Feeds[number], nil
}
