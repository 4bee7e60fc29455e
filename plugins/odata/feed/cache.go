package feed

import (
	"slices"

	"github.com/culvert-project/culvert/wit"
)

// Cache keeps what the instance made of contexts, the one that was asked for last first: each task of the connector has
// one, a second while it is opened again.
type Cache struct{ entries []cached }

type cached struct {
	context string
	opened  *Context
}

// maxCompiled is how many feeds the cached contexts have together, in addition to the two that were asked for last:
// some 15 KB for each.
const maxCompiled = 256

// Get finds what a context holds, or unpacks it. Errors are those of [UnpackContext].
func (c *Cache) Get(context []byte) (*Context, error) {
	for i := range c.entries {
		if e := c.entries[i]; e.context == string(context) {
			if i > 0 {
				copy(c.entries[1:i+1], c.entries[:i])
				c.entries[0] = e
			}
			return e.opened, nil
		}
	}
	o, err := UnpackContext(context)
	if err != nil {
		return nil, err
	}
	c.entries = slices.Insert(c.entries, 0, cached{string(context), o})
	compiled := 0
	for i, e := range c.entries {
		if compiled += len(e.opened.Feeds); i >= 2 && compiled > maxCompiled {
			clear(c.entries[i:])
			c.entries = c.entries[:i]
			break
		}
	}
	return o, nil
}

// Feed finds the feed that a call is about.
func (c *Cache) Feed(context []byte, number uint32) (*Context, *Feed, error) {
	o, err := c.Get(context)
	if err != nil {
		return nil, nil, err
	}
	if int(number) >= len(o.Feeds) {
		return nil, nil, &wit.Error{Kind: wit.ErrorInternal, Message: "no feed of that number"}
	}
	return o, &o.Feeds[number], nil
}
