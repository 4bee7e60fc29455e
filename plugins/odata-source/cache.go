package main

import (
	"slices"

	"github.com/culvert-project/culvert/wit"
)

// cache keeps what the instance made of contexts, the one that was asked for last first: each task of the connector has
// one, a second while it is opened anew.
type cache struct{ entries []cached }

type cached struct {
	context string
	opened  *Context
}

// maxCompiled is how many feeds the cached contexts have together, beyond the two that were asked for last: some 15 KB
// for each.
const maxCompiled = 256

func (c *cache) get(context []byte) (*Context, error) {
	for i := range c.entries {
		if e := c.entries[i]; e.context == string(context) {
			if i > 0 {
				copy(c.entries[1:i+1], c.entries[:i])
				c.entries[0] = e
			}
			return e.opened, nil
		}
	}
	o, err := unpackContext(context)
	if err != nil {
		return nil, err
	}
	c.entries = slices.Insert(c.entries, 0, cached{string(context), o})
	compiled := 0
	for i, e := range c.entries {
		if compiled += len(e.opened.feeds); i >= 2 && compiled > maxCompiled {
			clear(c.entries[i:])
			c.entries = c.entries[:i]
			break
		}
	}
	return o, nil
}

// feed finds the feed that a call is about.
func (c *cache) feed(context []byte, number uint32) (*Context, *Feed, error) {
	o, err := c.get(context)
	if err != nil {
		return nil, nil, err
	}
	if int(number) >= len(o.feeds) {
		return nil, nil, &wit.Fault{Kind: wit.FaultInternal, Message: "no feed of that number"}
	}
	return o, &o.feeds[number], nil
}
